package boot

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// certificate borrows the one that httptest brings along.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	borrowed := httptest.NewUnstartedServer(nil)
	borrowed.StartTLS()
	defer borrowed.Close()
	pool := x509.NewCertPool()
	pool.AddCert(borrowed.Certificate())
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: borrowed.TLS.Certificates}, pool
}

func TestServesHTTPS(t *testing.T) {
	t.Parallel()
	var out buffer
	config, roots := certificate(t)
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := ListenHTTP("gateway", "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}), HTTPOptions{Logger: log, TLS: config, MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	ask := func(c *tls.Config) (*http.Response, error) {
		transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		return (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://" + s.Addr())
	}
	for range 5 { // more than may be open: those before are idle
		resp, err := ask(&tls.Config{RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body) // an empty body tells enough
		_ = resp.Body.Close()
		if string(body) != "HTTP/1.1" || resp.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%q, header %v", body, resp.Header)
		}
	}
	if _, err := ask(&tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is taken")
	}
	if _, err := ask(&tls.Config{}); err == nil {
		t.Error("the client trusts a stranger")
	}
	plain, err := http.Get("http://" + s.Addr())
	if err != nil || plain.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP: %v, %v", plain, err)
	} else {
		_ = plain.Body.Close()
	}
	if strings.Contains(out.String(), "level=WARN") {
		t.Errorf("clients fill the log: %s", out.String())
	}
}

func TestPlainHTTPSaysNothingAboutHTTPS(t *testing.T) {
	t.Parallel()
	s := serveLimited(t, func(http.ResponseWriter, *http.Request) {})
	resp, err := http.Get("http://" + s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("Strict-Transport-Security: %s", got)
	}
	http.DefaultClient.CloseIdleConnections()
}
