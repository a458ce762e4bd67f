package wxcrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrOpen is every failure of [Crypt.Open].
var ErrOpen = errors.New("wxcrypt: cannot be opened")

const (
	// randomSize bytes of noise and the length of the message, 4 bytes big-endian,
	// come before the message; the AppID and the padding after it.
	randomSize = 16
	headerSize = randomSize + 4

	// padBlock is the block of the PKCS#7 padding: two AES blocks, so that the
	// padding may be longer than one.
	padBlock = 32

	// maxMessage is far above what WeChat pushes, and below what could overflow.
	maxMessage = 1 << 20
)

// Crypt opens and seals the messages of one app. It may be used by several
// goroutines at once.
type Crypt struct {
	appID string
	block cipher.Block
	iv    []byte
}

// New returns the Crypt of an app. The EncodingAESKey is the 43 characters of
// the message push page in the WeChat console. The error says what is wrong with
// the key and never holds it.
func New(encodingAESKey, appID string) (*Crypt, error) {
	if appID == "" {
		return nil, errors.New("wxcrypt: app id: is empty")
	}
	key, err := decodeKey(encodingAESKey)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("wxcrypt: aes key: %w", err)
	}
	return &Crypt{appID: appID, block: block, iv: key[:aes.BlockSize]}, nil
}

// Open returns the message inside encrypt, the base64 text of a push's Encrypt
// field. Whatever is wrong, with the text, its padding, its length or the AppID
// inside, the error is ErrOpen. Verify the signature first.
func (c *Crypt) Open(encrypt string) ([]byte, error) {
	text, err := base64.StdEncoding.DecodeString(encrypt)
	if err != nil || len(text)%padBlock != 0 || len(text) < c.sealedSize(0) || len(text) > c.sealedSize(maxMessage) {
		return nil, ErrOpen
	}
	cipher.NewCBCDecrypter(c.block, c.iv).CryptBlocks(text, text)
	return c.unwrap(text)
}

// Seal returns the base64 text that opens to message. Each call returns another
// one. The error is that the message has more than 1 MiB.
func (c *Crypt) Seal(message []byte) (string, error) {
	if len(message) > maxMessage {
		return "", fmt.Errorf("wxcrypt: seal: message of %d bytes, at most %d", len(message), maxMessage)
	}
	var random [randomSize]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program instead
	return c.seal(random, message), nil
}

func (c *Crypt) seal(random [randomSize]byte, message []byte) string {
	size := c.sealedSize(len(message))
	text := make([]byte, 0, size)
	text = append(text, random[:]...)
	text = binary.BigEndian.AppendUint32(text, uint32(len(message)))
	text = append(text, message...)
	text = append(text, c.appID...)
	for pad := size - len(text); len(text) < size; {
		text = append(text, byte(pad))
	}
	cipher.NewCBCEncrypter(c.block, c.iv).CryptBlocks(text, text)
	return base64.StdEncoding.EncodeToString(text)
}

// sealedSize is the length of a sealed message of n bytes, before base64.
// Padding there always is: a whole block of it if nothing else is missing.
func (c *Crypt) sealedSize(n int) int {
	return (headerSize+n+len(c.appID))/padBlock*padBlock + padBlock
}

// unwrap returns the message inside a text of at least sealedSize(0) bytes. The
// AppID's length is known, so the padding alone says where the message ends and
// the length field only has to agree. Until all is judged, nothing branches on
// the text, and no place read depends on a padding that is wrong.
func (c *Crypt) unwrap(text []byte) ([]byte, error) {
	pad, ok := padding(text)
	end := len(text) - pad - len(c.appID)
	ok &= subtle.ConstantTimeLessOrEq(headerSize+padBlock, end+padBlock) // end may be negative, its arguments not
	end = subtle.ConstantTimeSelect(ok, end, headerSize)

	size := binary.BigEndian.Uint32(text[randomSize:])
	ok &= subtle.ConstantTimeEq(int32(size), int32(end-headerSize))
	ok &= subtle.ConstantTimeCompare(text[end:end+len(c.appID)], []byte(c.appID))
	if ok != 1 {
		return nil, ErrOpen
	}
	return text[headerSize:end:end], nil
}

// padding returns the length of text's PKCS#7 padding, and 1 if all of it is
// right, else 0.
func padding(text []byte) (pad, ok int) {
	last := text[len(text)-1]
	pad = int(last)
	ok = subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, padBlock)
	for i := 1; i <= padBlock; i++ {
		inside := subtle.ConstantTimeLessOrEq(i, pad)
		same := subtle.ConstantTimeByteEq(text[len(text)-i], last)
		ok &= subtle.ConstantTimeSelect(inside, same, 1)
	}
	return subtle.ConstantTimeSelect(ok, pad, 1), ok
}
