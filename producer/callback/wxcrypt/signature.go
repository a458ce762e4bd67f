package wxcrypt

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"
)

// Signature is WeChat's signature over parts: lowercase hex of the SHA-1 of all
// parts, sorted byte by byte and joined. The parts are the callback token, the
// timestamp and the nonce, and for a msg_signature also the sealed text.
//
// Nothing separates the joined parts. Check the form of a part whose bounds
// matter, such as the timestamp's.
func Signature(parts ...string) string {
	sorted := slices.Clone(parts)
	slices.Sort(sorted)
	sum := sha1.Sum([]byte(strings.Join(sorted, "")))
	return hex.EncodeToString(sum[:])
}

// Verify reports whether signature is the one over parts. How long it takes
// does not depend on how much of it is right.
func Verify(signature string, parts ...string) bool {
	return subtle.ConstantTimeCompare([]byte(signature), []byte(Signature(parts...))) == 1
}
