package servercert

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files are looked at, when somebody connects.
const lookEvery = time.Minute

// Keeper hands out the certificate that its files hold. It looks at them at most
// once a minute, when a client connects; as long as they cannot be used it stays
// with what it has.
type Keeper struct {
	files Files
	log   *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	version [2]stamp
	looked  time.Time
	warned  bool // that pair has expired
}

// stamp tells versions of a file apart.
type stamp struct {
	changed time.Time
	size    int64
}

// Keep reads the files. The error is a *FileError. log hears of new certificates
// and of what is wrong with them.
func Keep(files Files, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{files: files, log: log, looked: time.Now(), version: files.version()}
	var err error
	if k.pair, err = files.Load(); err != nil {
		return nil, err
	}
	k.warn()
	return k, nil
}

// Config is for a server: TLS 1.2 or later.
func (k *Keeper) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: k.certificate}
}

func (k *Keeper) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) >= lookEvery {
		k.looked = time.Now()
		k.look()
	}
	return k.pair, nil
}

// look takes what the files hold if they have changed. Between the change of the
// one and of the other they do not belong together; the next look finds them whole.
func (k *Keeper) look() {
	defer k.warn()
	version := k.files.version() // before the files are read: what changes meanwhile is read again
	if version == k.version {
		return
	}
	pair, err := k.files.Load()
	if err != nil {
		k.log.Warn("certificate not renewed: the one in use stays", "until", k.pair.Leaf.NotAfter, "err", err)
		return
	}
	k.pair, k.version, k.warned = pair, version, false
	k.log.Info("certificate renewed", "until", pair.Leaf.NotAfter)
}

func (k *Keeper) warn() {
	if k.warned || !Expired(k.pair, time.Now()) {
		return
	}
	k.warned = true
	k.log.Warn("certificate is not valid now: clients refuse it; renew it, or correct the clock",
		"from", k.pair.Leaf.NotBefore, "until", k.pair.Leaf.NotAfter)
}

// version is that of both files; links are followed. A file that is not there has none.
func (f Files) version() [2]stamp {
	var v [2]stamp
	for i, path := range []string{f.Cert, f.Key} {
		if info, err := os.Stat(path); err == nil {
			v[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return v
}
