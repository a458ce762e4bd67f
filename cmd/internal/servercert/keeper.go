package servercert

import (
	"crypto/sha256"
	"crypto/tls"
	"log/slog"
	"sync"
	"time"
)

// lookEvery is how often the files are looked at, when somebody asks.
const lookEvery = time.Minute

// Keeper hands out the certificate that its files hold. It looks at them at most
// once a minute, when a client connects or somebody asks for its end; as long as
// they cannot be used it stays with what it has.
type Keeper struct {
	files Files
	log   *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	held   [sha256.Size]byte // of the files that pair is from
	looked time.Time
	warned bool // that pair has expired
}

// Keep reads the files. The error is a *FileError. log hears of new certificates
// and of what is wrong with them.
func Keep(files Files, log *slog.Logger) (*Keeper, error) {
	text, err := files.read()
	if err != nil {
		return nil, err
	}
	k := &Keeper{files: files, log: log, looked: time.Now(), held: text.sum()}
	if k.pair, err = text.pair(files); err != nil {
		return nil, err
	}
	k.warn()
	return k, nil
}

// Config is for a server: TLS 1.2 or later.
func (k *Keeper) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.current(), nil }}
}

// Until is when the certificate ends that a client gets now.
func (k *Keeper) Until() time.Time { return k.current().Leaf.NotAfter }

func (k *Keeper) current() *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) >= lookEvery {
		k.looked = time.Now()
		k.look()
	}
	return k.pair
}

// look takes what the files hold if they have changed. Between the change of the
// one and of the other they do not belong together; the next look finds them whole.
// Their contents are compared, as two versions of a file may share size and time.
func (k *Keeper) look() {
	defer k.warn()
	text, err := k.files.read()
	if err == nil && text.sum() == k.held {
		return
	}
	var pair *tls.Certificate
	if err == nil {
		pair, err = text.pair(k.files)
	}
	if err != nil {
		k.log.Warn("certificate not renewed: the one in use stays", "until", k.pair.Leaf.NotAfter, "err", err)
		return
	}
	k.pair, k.held, k.warned = pair, text.sum(), false
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
