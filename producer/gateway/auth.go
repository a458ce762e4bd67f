package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Key lets a caller in.
type Key struct {
	// Name says whose key it is. It appears in the log.
	Name string
	// Key is the secret: visible ASCII characters without spaces.
	Key string
}

type namedSum struct {
	name string
	sum  [sha256.Size]byte
}

// keyring knows the keys by their hashes: of equal length, so that comparing
// them takes the same time whatever was shown.
type keyring []namedSum

func newKeyring(keys []Key) (keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("gateway: refuses to start without a key: set WXNOTIFY_GATEWAY_KEYS to name:key")
	}
	ring := make(keyring, 0, len(keys))
	for i, k := range keys {
		if k.Name == "" {
			return nil, fmt.Errorf("gateway: key %d of %d has no name", i+1, len(keys))
		}
		if !usable(k.Key) {
			return nil, fmt.Errorf("gateway: key %q: must be visible ASCII characters without spaces", k.Name)
		}
		ring = append(ring, namedSum{k.Name, sha256.Sum256([]byte(k.Key))})
	}
	return ring, ring.checkDistinct()
}

// usable reports whether a key can travel in a header.
func usable(key string) bool {
	outside := func(c rune) bool { return c <= ' ' || c > '~' }
	return key != "" && !strings.ContainsFunc(key, outside)
}

func (ring keyring) checkDistinct() error {
	for i, a := range ring {
		for _, b := range ring[:i] {
			if a.name == b.name {
				return fmt.Errorf("gateway: key %q is defined twice", a.name)
			}
			if a.sum == b.sum {
				return fmt.Errorf("gateway: keys %q and %q are the same", b.name, a.name)
			}
		}
	}
	return nil
}

// owner returns the name of a key, or "". It compares with all of them, always.
func (ring keyring) owner(key string) string {
	sum := sha256.Sum256([]byte(key))
	name := ""
	for _, k := range ring {
		if subtle.ConstantTimeCompare(sum[:], k.sum[:]) == 1 {
			name = k.name
		}
	}
	return name
}

// withKey lets requests with a valid key through, as many as it may make, before
// their body is read.
func (g *gateway) withKey(next endpoint) endpoint {
	return func(x *exchange) reply {
		scheme, key, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return unauthorized("a key is required: send the header Authorization: Bearer KEY", `Bearer realm="wxnotify"`)
		}
		x.key = g.keys.owner(strings.TrimSpace(key))
		if x.key == "" {
			return unauthorized("this key is not valid here: use one of the gateway's WXNOTIFY_GATEWAY_KEYS, the part after the name",
				`Bearer realm="wxnotify", error="invalid_token"`)
		}
		if x.allowance = g.allowances[x.key]; x.allowance != nil {
			if wait := x.allowance.take(time.Now()); wait > 0 {
				return tooMany(wait).reply()
			}
		}
		return next(x)
	}
}

// unauthorized ends the connection, so that net/http does not wait for the body.
func unauthorized(detail, challenge string) reply {
	return newProblem(http.StatusUnauthorized, detail).with("WWW-Authenticate", challenge).with("Connection", "close").reply()
}
