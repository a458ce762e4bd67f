package servercert

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// served is whose certificate a client would get now.
func served(t *testing.T, k *Keeper) string {
	t.Helper()
	pair, err := k.Config().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.Subject.CommonName
}

// sameTimes gives the files of two certificates one time of change.
func sameTimes(t *testing.T, all ...Files) {
	t.Helper()
	at := time.Now()
	for _, f := range all {
		for _, path := range []string{f.Cert, f.Key} {
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A renewed certificate is taken within a minute; while its files do not fit
// together, or are gone, the one in use stays.
func TestRenewedCertificateIsTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		from, until := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		files, renewed := issue(t, dir, "first", from, until), issue(t, dir, "second", from, until)
		k, err := Keep(files, slog.New(slog.NewTextHandler(&out, nil)))
		if err != nil {
			t.Fatal(err)
		}
		sameTimes(t, renewed, files) // as copying with their times, or a coarse clock, leaves them
		move(t, renewed.Cert, files.Cert)
		if got := served(t, k); got != "first" {
			t.Errorf("within the minute: %s", got)
		}
		time.Sleep(lookEvery)
		if got := served(t, k); got != "first" || !strings.Contains(out.String(), "not renewed") {
			t.Errorf("half renewed: %s, log %s", got, out.String())
		}
		move(t, renewed.Key, files.Key)
		time.Sleep(lookEvery)
		if got := served(t, k); got != "second" || !strings.Contains(out.String(), "certificate renewed") {
			t.Errorf("renewed: %s, log %s", got, out.String())
		}
		move(t, files.Key, files.Key+".gone")
		time.Sleep(lookEvery)
		if got := served(t, k); got != "second" {
			t.Errorf("without its key: %s", got)
		}
		if strings.Contains(out.String(), "not valid now") {
			t.Errorf("log %s", out.String())
		}
	})
}

func TestExpiryIsSaidOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		now := time.Now()
		k, err := Keep(issue(t, dir, "short", now.Add(-time.Hour), now.Add(time.Hour)), log)
		if err != nil || out.Len() > 0 {
			t.Fatal(err, out.String())
		}
		for range 10 {
			time.Sleep(30 * time.Minute)
			served(t, k)
		}
		if n := strings.Count(out.String(), "not valid now"); n != 1 {
			t.Errorf("said %d times: %s", n, out.String())
		}
		old := issue(t, dir, "old", now.Add(-2*time.Hour), now.Add(-time.Hour))
		if _, err := Keep(old, log); err != nil || strings.Count(out.String(), "not valid now") != 2 {
			t.Errorf("expired at the start: %v, log %s", err, out.String())
		}
	})
}

// A server that nobody connects to tells of its renewed certificate, too.
func TestEndFollowsTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		from := time.Now().Add(-time.Hour)
		soon, late := time.Now().Add(time.Hour), time.Now().Add(90*24*time.Hour)
		files, renewed := issue(t, dir, "first", from, soon), issue(t, dir, "second", from, late)
		k, err := Keep(files, slog.New(slog.DiscardHandler))
		if err != nil || !k.Until().Equal(soon.Truncate(time.Second)) {
			t.Fatalf("ends %v, %v, want %v", k.Until(), err, soon)
		}
		move(t, renewed.Cert, files.Cert)
		move(t, renewed.Key, files.Key)
		if got := k.Until(); !got.Equal(soon.Truncate(time.Second)) {
			t.Errorf("within the minute: ends %v", got)
		}
		time.Sleep(lookEvery)
		if got := k.Until(); !got.Equal(late.Truncate(time.Second)) || served(t, k) != "second" {
			t.Errorf("renewed: ends %v, want %v", got, late)
		}
	})
}
