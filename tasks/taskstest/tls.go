package taskstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// StartTLSRedis starts a redis-server as StartRedis does, with a certificate of a
// CA of its own. It returns its rediss:// URL and the CA's PEM file; the Server's
// own URL stays the one without TLS.
func StartTLSRedis(t testing.TB, args ...string) (server *Server, url, caFile string) {
	t.Helper()
	ports := freePorts(t, 2)
	dir := t.TempDir()
	caFile, certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificates(t, caFile, certFile, keyFile)
	args = append([]string{"--tls-port", strconv.Itoa(ports[1]), "--tls-cert-file", certFile, "--tls-key-file", keyFile,
		"--tls-ca-cert-file", caFile, "--tls-auth-clients", "no"}, args...)
	server = startRedis(t, ports[0], args...)
	return server, "rediss://127.0.0.1:" + strconv.Itoa(ports[1]) + "/0", caFile
}

// writeCertificates makes a CA and a certificate of it for 127.0.0.1.
func writeCertificates(t testing.TB, caFile, certFile, keyFile string) {
	t.Helper()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "wxnotify test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	cert := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "redis"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	caKey, key := newKey(t), newKey(t)
	writePEM(t, caFile, "CERTIFICATE", sign(t, ca, ca, caKey, caKey))
	writePEM(t, certFile, "CERTIFICATE", sign(t, cert, ca, key, caKey))
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatalf("taskstest: encode key: %v", err)
	}
	writePEM(t, keyFile, "EC PRIVATE KEY", der)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("taskstest: make key: %v", err)
	}
	return key
}

func sign(t testing.TB, cert, by *x509.Certificate, key, byKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, by, &key.PublicKey, byKey)
	if err != nil {
		t.Fatalf("taskstest: sign certificate: %v", err)
	}
	return der
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatalf("taskstest: write certificate: %v", err)
	}
}
