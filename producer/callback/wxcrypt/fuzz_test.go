package wxcrypt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"
)

// FuzzOpen opens its input as a stranger sends it, and once more encrypted under
// the right key, so that the input reaches what is judged after decryption.
func FuzzOpen(f *testing.F) {
	c := vectorCrypt(f)
	f.Add(v3Encrypt)
	f.Add(v4Encrypt)
	f.Add("")
	f.Add(string(plainText("message", 7, vectorApp, bytes.Repeat([]byte{19}, 19))))
	f.Add(string(plainText("", 1<<32-1, vectorApp, bytes.Repeat([]byte{26}, 26))))
	f.Fuzz(func(t *testing.T, input string) {
		opensAgain(t, c, input)
		text := []byte(input)
		text = append(text, make([]byte, (padBlock-len(text)%padBlock)%padBlock)...)
		encrypt := sealText(c, text)
		if message, ok := opensAgain(t, c, encrypt); ok {
			// There is one right form only: the same noise and message seal to the same text.
			if sealed := c.seal([randomSize]byte(text), message); sealed != encrypt {
				t.Errorf("%q opens, and seals to %q", encrypt, sealed)
			}
		}
	})
}

// opensAgain checks that what opens seals back and opens to the same. It seals
// with the same noise each time, so that the fuzzer sees one path per input.
func opensAgain(t *testing.T, c *Crypt, encrypt string) ([]byte, bool) {
	t.Helper()
	message, err := c.Open(encrypt)
	if err != nil {
		if !errors.Is(err, ErrOpen) {
			t.Errorf("error %v", err)
		}
		return nil, false
	}
	sealed := c.seal([randomSize]byte{}, message)
	if again, err := c.Open(sealed); err != nil || !bytes.Equal(again, message) {
		t.Errorf("%q opens again to %q, %v", message, again, err)
	}
	return message, true
}

// FuzzSealOpen seals any message of any app with any noise, and flips one bit of
// it.
func FuzzSealOpen(f *testing.F) {
	f.Add([]byte(v3Message), vectorApp, []byte(v3Random), uint(0))
	f.Add([]byte{}, "w", []byte(nil), uint(700))
	f.Fuzz(func(t *testing.T, message []byte, appID string, noise []byte, bit uint) {
		c, err := New(vectorKey, appID)
		if err != nil || len(message) > maxMessage {
			t.Skip()
		}
		var random [randomSize]byte
		copy(random[:], noise)
		sealed := c.seal(random, message)
		if opened, err := c.Open(sealed); err != nil || !bytes.Equal(opened, message) {
			t.Errorf("%q opens to %q, %v", message, opened, err)
		}
		text, err := base64.StdEncoding.DecodeString(sealed)
		if err != nil {
			t.Fatal(err)
		}
		text[bit/8%uint(len(text))] ^= 1 << (bit % 8)
		opensAgain(t, c, base64.StdEncoding.EncodeToString(text))
	})
}
