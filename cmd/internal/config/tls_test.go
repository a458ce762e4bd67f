package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Certificates are judged in package servercert; this is about the variables.
func TestCertificatesAreRefusedByVariable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	none := file + ".none"
	for name, c := range map[string]struct {
		env  map[string]string
		want map[string]string // by variable
	}{
		"no key":         {map[string]string{"GATEWAY_TLS_CERT_FILE": file}, map[string]string{"GATEWAY_TLS_KEY_FILE": "WXNOTIFY_GATEWAY_TLS_CERT_FILE"}},
		"no certificate": {map[string]string{"DASHBOARD_TLS_KEY_FILE": file}, map[string]string{"DASHBOARD_TLS_CERT_FILE": "WXNOTIFY_DASHBOARD_TLS_KEY_FILE"}},
		"not there": {map[string]string{"GATEWAY_TLS_CERT_FILE": none, "GATEWAY_TLS_KEY_FILE": file},
			map[string]string{"GATEWAY_TLS_CERT_FILE": "cannot be read"}},
		"no PEM": {map[string]string{"CALLBACK_ADDR": ":8443", "CALLBACK_TLS_CERT_FILE": file, "CALLBACK_TLS_KEY_FILE": file},
			map[string]string{"CALLBACK_TLS_CERT_FILE": "holds no certificate"}},
		"no callback address": {map[string]string{"CALLBACK_TLS_CERT_FILE": file, "CALLBACK_TLS_KEY_FILE": file},
			map[string]string{"CALLBACK_TLS_CERT_FILE": "WXNOTIFY_CALLBACK_ADDR"}},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, c.env)
			got := refusals(t)
			for variable, want := range c.want {
				if !strings.Contains(got[variable], want) {
					t.Errorf("%s: %q, want %q", variable, got[variable], want)
				}
			}
			if name != "no callback address" && len(got) != len(c.want) {
				t.Errorf("refusals %v, want only those of %v", got, c.want)
			}
		})
	}
}

func TestDevSpeaksPlainHTTP(t *testing.T) {
	setenv(t, map[string]string{"GATEWAY_TLS_CERT_FILE": "a", "GATEWAY_TLS_KEY_FILE": "b"})
	_, err := Load(Dev)
	if err == nil || !strings.Contains(err.Error(), "WXNOTIFY_GATEWAY_TLS_CERT_FILE: is not for `wxnotify dev`") {
		t.Errorf("error %v", err)
	}
}
