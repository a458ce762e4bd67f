package wxcrypt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// keyChars is the length of an EncodingAESKey: 32 bytes in base64, without the
// padding character.
const keyChars = 43

// CheckKey reports what is wrong with an EncodingAESKey. The error never holds
// the key or a part of it.
func CheckKey(encodingAESKey string) error {
	_, err := decodeKey(encodingAESKey)
	return err
}

// decodeKey does not decode strictly: the last character of a real key often
// has bits that stand for nothing.
func decodeKey(encodingAESKey string) ([]byte, error) {
	if encodingAESKey == "" {
		return nil, errors.New("wxcrypt: aes key: is empty")
	}
	if n := len(encodingAESKey); n != keyChars {
		return nil, fmt.Errorf("wxcrypt: aes key: has %d characters, not %d", n, keyChars)
	}
	if strings.ContainsAny(encodingAESKey, "\r\n=") { // the decoder would skip or stop at them
		return nil, errKeyCharacters
	}
	key, err := base64.StdEncoding.DecodeString(encodingAESKey + "=")
	if err != nil {
		return nil, errKeyCharacters
	}
	return key, nil
}

var errKeyCharacters = errors.New("wxcrypt: aes key: has characters other than A-Z a-z 0-9 + /")
