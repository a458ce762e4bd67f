package servercert

import (
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const canary = "cAnArY"

func TestFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	good, other := issue(t, dir, "good", now, now.Add(time.Hour)), issue(t, dir, "other", now, now.Add(time.Hour))
	path := func(name, text string) string {
		p := filepath.Join(dir, name)
		write(t, p, []byte(text))
		return p
	}
	block := func(kind string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(canary)}))
	}
	for name, c := range map[string]struct {
		files Files
		key   bool
		want  string
	}{
		"no certificate file": {Files{filepath.Join(dir, "none"), good.Key}, false, "cannot be read: no such file"},
		"no key file":         {Files{good.Cert, filepath.Join(dir, "none")}, true, "cannot be read: no such file"},
		"a folder":            {Files{dir, good.Key}, false, "cannot be read"},
		"empty":               {Files{path("empty", ""), good.Key}, false, "holds no certificate"},
		"a key as cert":       {Files{good.Key, good.Key}, false, "holds no certificate"},
		"a cert as key":       {Files{good.Cert, good.Cert}, true, "holds no private key"},
		"text":                {Files{path("text", canary), good.Key}, false, "holds no certificate"},
		"damaged cert":        {Files{path("damaged.crt", block("CERTIFICATE")), good.Key}, false, "damaged"},
		"strange block":       {Files{path("strange.crt", block(canary)), good.Key}, false, "holds no certificate"},
		"damaged key":         {Files{good.Cert, path("damaged.key", block("PRIVATE KEY"))}, true, "damaged"},
		"strange key":         {Files{good.Cert, path("strange.key", block(canary))}, true, "holds no private key"},
		"passphrase":          {Files{good.Cert, path("locked.key", block("ENCRYPTED PRIVATE KEY"))}, true, "passphrase"},
		"no pair":             {Files{good.Cert, other.Key}, true, "does not belong to the certificate"},
		"huge":                {Files{path("huge", strings.Repeat(canary, maxFile)), good.Key}, false, "larger than"},
	} {
		_, err := c.files.Load()
		wrong := (*FileError)(nil)
		if !errors.As(err, &wrong) || wrong.Key != c.key || !strings.Contains(wrong.Detail, c.want) {
			t.Errorf("%s: %v, want %q about the key: %v", name, err, c.want, c.key)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error shows the file: %v", name, err)
		}
	}
	if _, err := good.Load(); err != nil {
		t.Error(err)
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	now := time.Now()
	pair, err := issue(t, t.TempDir(), "a", now, now.Add(time.Hour)).Load()
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]bool{-time.Minute: true, time.Minute: false, 2 * time.Hour: true} {
		if got := Expired(pair, now.Add(at)); got != want {
			t.Errorf("after %v: %v, want %v", at, got, want)
		}
	}
}
