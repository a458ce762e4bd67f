// Package servercert reads the certificate of an HTTPS server from files, and again
// when they have changed, so that a renewed one needs no restart.
package servercert

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Files are the paths of a certificate, with those between it and its root behind
// it, and of its private key, both PEM.
type Files struct{ Cert, Key string }

// Set reports whether there are any.
func (f Files) Set() bool { return f != Files{} }

// FileError says what is wrong with one of the files and what to do. It holds
// nothing of the file.
type FileError struct {
	// Key: it is about the private key, else about the certificate.
	Key bool
	// Detail goes on after the name of the variable that holds the path.
	Detail string
}

func (e *FileError) Error() string {
	if e.Key {
		return "servercert: private key: " + e.Detail
	}
	return "servercert: certificate: " + e.Detail
}

// Load reads the files. The error is a *FileError. A certificate that has expired
// is none; see Expired.
func (f Files) Load() (*tls.Certificate, error) {
	text, err := f.read()
	if err != nil {
		return nil, err
	}
	return text.pair(f)
}

// contents are what the two files hold.
type contents struct{ cert, key []byte }

// read gives *FileError.
func (f Files) read() (contents, error) {
	cert, err := readPEM(f.Cert)
	if err != nil {
		return contents{}, &FileError{Detail: err.Error()}
	}
	key, err := readPEM(f.Key)
	if err != nil {
		return contents{}, &FileError{Key: true, Detail: err.Error()}
	}
	return contents{cert, key}, nil
}

// pair gives *FileError, which names the files as f does.
func (c contents) pair(f Files) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, judge(f, c.cert, c.key)
	}
	return &pair, nil
}

// sum tells contents apart.
func (c contents) sum() [sha256.Size]byte {
	cert, key := sha256.Sum256(c.cert), sha256.Sum256(c.key)
	return sha256.Sum256(append(cert[:], key[:]...))
}

// judge says what is wrong with files that make no pair. crypto/tls's own words
// may repeat what the file says.
func judge(f Files, cert, key []byte) error {
	if !holdsCertificate(cert) {
		return &FileError{Detail: "the file " + f.Cert + " holds no certificate in PEM form, or a damaged one"}
	}
	switch kind := keyKind(key); {
	case kind == "":
		return &FileError{Key: true, Detail: "the file " + f.Key + " holds no private key in PEM form"}
	case strings.HasPrefix(kind, "ENCRYPTED"):
		return &FileError{Key: true, Detail: "the key in the file " + f.Key + " has a passphrase: write it without one, readable for this process alone"}
	}
	return &FileError{Key: true, Detail: "the key in the file " + f.Key + " does not belong to the certificate in " + f.Cert +
		", or is damaged: name the two files that were issued together"}
}

func holdsCertificate(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err == nil
		}
	}
	return false
}

// keyKind is the type of the first private key, "" if there is none.
func keyKind(text []byte) string {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return block.Type
		}
	}
	return ""
}

// maxFile bounds a file. Real ones have a few KiB.
const maxFile = 1 << 20

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	return text, nil
}

func unreadable(path string, err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err // without the path
	}
	return fmt.Errorf("the file %s cannot be read: %w", path, err)
}

// Expired reports whether clients refuse a certificate at now because of its dates.
func Expired(c *tls.Certificate, now time.Time) bool {
	return now.After(c.Leaf.NotAfter) || now.Before(c.Leaf.NotBefore)
}
