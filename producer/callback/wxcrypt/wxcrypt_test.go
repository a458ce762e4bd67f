package wxcrypt

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, key, want string }{
		{"plain", vectorKey, ""},
		{"trailing bits set", strings.Repeat("A", 42) + "9", ""},
		{"all characters", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop+", ""},
		{"empty", "", "is empty"},
		{"short", strings.Repeat("Q", 42), "has 42 characters, not 43"},
		{"padded", strings.Repeat("Q", 43) + "=", "has 44 characters, not 43"},
		{"URL alphabet", strings.Repeat("Q", 42) + "_", "characters other than"},
		{"line end", strings.Repeat("Q", 42) + "\n", "characters other than"},
		{"padding inside", strings.Repeat("Q", 42) + "=", "characters other than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := CheckKey(tc.key)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("CheckKey = %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "QQ") {
				t.Errorf("the error holds the key: %v", err)
			}
			if _, newErr := New(tc.key, vectorApp); (newErr == nil) != (err == nil) {
				t.Errorf("New = %v, CheckKey = %v", newErr, err)
			}
		})
	}
}

func TestNewWithoutApp(t *testing.T) {
	t.Parallel()
	if _, err := New(vectorKey, ""); err == nil {
		t.Error("New without an AppID succeeded: any app's messages would open")
	}
}

// sealText encrypts any text, however wrong it is inside.
func sealText(c *Crypt, text []byte) string {
	sealed := make([]byte, len(text))
	cipher.NewCBCEncrypter(c.block, c.iv).CryptBlocks(sealed, text)
	return base64.StdEncoding.EncodeToString(sealed)
}

// plainText is a text of 96 bytes as it is before encryption, with the length
// field, the AppID and the padding given.
func plainText(message string, length uint32, appID string, padding []byte) []byte {
	text := binary.BigEndian.AppendUint32(bytes.Repeat([]byte{'r'}, randomSize), length)
	return append(append(append(text, message...), appID...), padding...)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	c := vectorCrypt(t)
	message := strings.Repeat("m", 38)
	pad := func(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }
	right := plainText(message, 38, vectorApp, pad(20, 20))
	if opened, err := c.Open(sealText(c, right)); err != nil || string(opened) != message {
		t.Fatalf("the right text opens to %q, %v", opened, err)
	}
	spoiled := pad(20, 20)
	spoiled[0] = 21
	whole := sealText(c, right)
	for name, encrypt := range map[string]string{
		"empty":               "",
		"no base64":           "*" + whole[1:],
		"truncated base64":    whole[:len(whole)-1],
		"half":                whole[:len(whole)/2],
		"one AES block less":  sealText(c, right[:80]),
		"too short":           sealText(c, right[:32]),
		"other app":           sealText(c, plainText(message, 38, "wxba5fad812f8e6fb8", pad(20, 20))),
		"longer app":          sealText(c, plainText(message, 38, vectorApp+"x", pad(19, 19))),
		"shorter app":         sealText(c, plainText(message, 38, vectorApp[:17], pad(21, 21))),
		"padding 0":           sealText(c, plainText(message, 38, vectorApp, pad(20, 0))),
		"padding 33":          sealText(c, plainText(message[:25], 25, vectorApp, pad(33, 33))),
		"padding 255":         sealText(c, plainText(message, 38, vectorApp, pad(20, 255))),
		"padding not alike":   sealText(c, plainText(message, 38, vectorApp, spoiled)),
		"length too small":    sealText(c, plainText(message, 37, vectorApp, pad(20, 20))),
		"length too large":    sealText(c, plainText(message, 39, vectorApp, pad(20, 20))),
		"length beyond text":  sealText(c, plainText(message, 1<<31, vectorApp, pad(20, 20))),
		"length overflows":    sealText(c, plainText(message, 1<<32-1, vectorApp, pad(20, 20))),
		"length wraps around": sealText(c, plainText(message, 1<<31+38, vectorApp, pad(20, 20))),
		"no room for the app": sealText(c, plainText("", 0, "", pad(44, 32))),
		"too long":            sealText(c, make([]byte, c.sealedSize(maxMessage)+padBlock)),
	} {
		if opened, err := c.Open(encrypt); !errors.Is(err, ErrOpen) || err.Error() != ErrOpen.Error() || opened != nil {
			t.Errorf("%s: opened %q, error %v", name, opened, err)
		}
	}
}

// With a short AppID the padding alone can be all of the text: the message would
// then end before the text begins.
func TestOpenRefusesAllPadding(t *testing.T) {
	t.Parallel()
	c, err := New(vectorKey, "w")
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := c.Open(sealText(c, bytes.Repeat([]byte{padBlock}, padBlock))); !errors.Is(err, ErrOpen) {
		t.Errorf("opened %q, error %v", opened, err)
	}
}

func TestOpenWithAnotherKey(t *testing.T) {
	t.Parallel()
	other, err := New(strings.Repeat("B", keyChars), vectorApp)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(v3Encrypt); !errors.Is(err, ErrOpen) {
		t.Errorf("another key's message: %v", err)
	}
}

func TestSealDiffersAndOpens(t *testing.T) {
	t.Parallel()
	c := vectorCrypt(t)
	seen := map[string]bool{}
	for n := range 2 * padBlock {
		message := bytes.Repeat([]byte{'m'}, n)
		for range 2 {
			sealed, err := c.Seal(message)
			if err != nil {
				t.Fatal(err)
			}
			if seen[sealed] {
				t.Error("sealed twice to the same text")
			}
			seen[sealed] = true
			if opened, err := c.Open(sealed); err != nil || !bytes.Equal(opened, message) {
				t.Errorf("%d bytes open to %d bytes, %v", n, len(opened), err)
			}
		}
	}
}

func TestSealBound(t *testing.T) {
	t.Parallel()
	c := vectorCrypt(t)
	sealed, err := c.Seal(make([]byte, maxMessage))
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := c.Open(sealed); err != nil || len(opened) != maxMessage {
		t.Errorf("the longest message opens to %d bytes, %v", len(opened), err)
	}
	if _, err := c.Seal(make([]byte, maxMessage+1)); err == nil {
		t.Error("a longer one is sealed")
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	right := Signature("AAAAA", "1714036504", "1514711492")
	for _, signature := range []string{"", right[:39], right + "0", strings.ToUpper(right), strings.Repeat("0", 40)} {
		if Verify(signature, "AAAAA", "1714036504", "1514711492") {
			t.Errorf("signature %q passes", signature)
		}
	}
	if Verify(right, "AAAAB", "1714036504", "1514711492") {
		t.Error("another token's signature passes")
	}
}

func TestSignatureKeepsItsArguments(t *testing.T) {
	t.Parallel()
	parts := []string{"c", "a", "b"}
	Signature(parts...)
	if strings.Join(parts, "") != "cab" {
		t.Errorf("parts are now %q", parts)
	}
}
