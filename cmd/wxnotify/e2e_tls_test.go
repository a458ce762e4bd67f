package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/servercert"
)

// issueCert writes a certificate for 127.0.0.1 that ends after d, with its key.
func issueCert(t *testing.T, dir, name string, d time.Duration) servercert.Files {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(d),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := servercert.Files{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	for path, block := range map[string]*pem.Block{f.Cert: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// trusting is a client that knows the certificate.
func trusting(t *testing.T, files servercert.Files) *http.Client {
	t.Helper()
	text, err := os.ReadFile(files.Cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// wantEnd checks that /metrics at an address tells when the certificate of a server ends.
func wantEnd(t *testing.T, files servercert.Files, server string, client *http.Client, address string) {
	t.Helper()
	pair, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("wxnotify_tls_certificate_expires_timestamp_seconds{server=%q} %v\n", server, float64(pair.Leaf.NotAfter.Unix())),
		"wxnotify_redis_up 1\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("/metrics of the %s has no %s", server, want)
		}
	}
}

// Gateway and dashboard speak HTTPS alone where they have a certificate, and tell
// browsers to insist on it; check says when it ends, and one that has ended is no
// reason not to start.
func TestHTTPSByFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	files, old := issueCert(t, dir, "good", 30*24*time.Hour), issueCert(t, dir, "old", -time.Hour)
	w.env = w.env.with(env{
		"GATEWAY_TLS_CERT_FILE": files.Cert, "GATEWAY_TLS_KEY_FILE": files.Key,
		"DASHBOARD_TLS_CERT_FILE": files.Cert, "DASHBOARD_TLS_KEY_FILE": files.Key,
	})
	worker, g := w.worker("a", nil), w.gateway()
	dashboard := start(t, "dashboard", w.env, "dashboard")
	client := trusting(t, files)
	for _, url := range []string{
		strings.Replace(g.url, "http:", "https:", 1) + "/v1/openapi.json",
		"https://" + dashboard.line(`msg="dashboard listens" addr=(\S+)`) + "/",
	} {
		resp, err := client.Get(url)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %v, %v", url, resp, err)
		}
		_ = resp.Body.Close()
		for _, header := range []string{"Strict-Transport-Security", "X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy", "Cache-Control"} {
			if resp.Header.Get(header) == "" {
				t.Errorf("GET %s: no %s", url, header)
			}
		}
		if code, _ := get(t, strings.Replace(url, "https:", "http:", 1), ""); code != http.StatusBadRequest {
			t.Errorf("plain HTTP is answered %d, want 400", code)
		}
	}
	wantEnd(t, files, "gateway", http.DefaultClient, g.admin)
	wantEnd(t, files, "dashboard", client, "https://"+dashboard.line(`msg="dashboard listens" addr=(\S+)`))
	command(t, w.env, "check").want(t, 0, "WXNOTIFY_GATEWAY_TLS_CERT_FILE", "valid until")
	w.env = w.env.with(env{"GATEWAY_TLS_CERT_FILE": old.Cert, "GATEWAY_TLS_KEY_FILE": old.Key})
	command(t, w.env, "check").want(t, 0, "warn", "clients refuse it; renew it")
	late := w.gateway()
	late.line(`level=WARN msg="certificate is (not valid) now`)
	wantCleanExit(t, worker.process, g.process, late.process, dashboard)
}
