package wxcrypt

import (
	"encoding/base64"
	"strings"
	"testing"
)

// What the vectors of WeChat's message push page have in common.
const (
	vectorToken = "AAAAA"
	vectorApp   = "wxba5fad812f8e6fb9"
)

var vectorKey = strings.Repeat("A", keyChars)

func vectorCrypt(tb testing.TB) *Crypt {
	tb.Helper()
	c, err := New(vectorKey, vectorApp)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func checkSignature(t *testing.T, want string, parts ...string) {
	t.Helper()
	if got := Signature(parts...); got != want {
		t.Errorf("Signature(%q) = %s, want %s", parts, got, want)
	}
	if !Verify(want, parts...) {
		t.Errorf("Verify(%s, %q) = false", want, parts)
	}
}

func TestV1URLCheck(t *testing.T) {
	t.Parallel()
	checkSignature(t, "f464b24fc39322e44b38aa78f5edd27bd1441696", vectorToken, "1714036504", "1514711492")
}

func TestV2PlainPost(t *testing.T) {
	t.Parallel()
	checkSignature(t, "899cf89e464efb63f54ddac96b0a0a235f53aa78", vectorToken, "1714037059", "486452656")
}

const (
	v3Encrypt = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
	v3Message = `{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`
	v3Random  = "a8eedb185eb2fecf"

	v4Encrypt = "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ=="
	v4Message = `{"demo_resp":"good luck"}`
	v4Random  = "707722b803182950"
)

func TestV3SafeModePost(t *testing.T) {
	t.Parallel()
	checkSignature(t, "6c5c811b55cc85e0e1b54100749188c20beb3f5d", vectorToken, "1714112445", "415670741")
	checkSignature(t, "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3", vectorToken, "1714112445", "415670741", v3Encrypt)
	checkSealed(t, v3Random, v3Message, v3Encrypt)
}

func TestV4SealedReply(t *testing.T) {
	t.Parallel()
	checkSignature(t, "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1", vectorToken, "1713424427", "415670741", v4Encrypt)
	checkSealed(t, v4Random, v4Message, v4Encrypt)
}

func checkSealed(t *testing.T, random, message, encrypt string) {
	t.Helper()
	c := vectorCrypt(t)
	opened, err := c.Open(encrypt)
	if err != nil {
		t.Fatal(err)
	}
	if string(opened) != message {
		t.Errorf("opened %q, want %q", opened, message)
	}
	if got := c.seal([randomSize]byte([]byte(random)), []byte(message)); got != encrypt {
		t.Errorf("sealed %q, want %q", got, encrypt)
	}
}

func TestV10Signatures(t *testing.T) {
	t.Parallel()
	checkSignature(t, "f21891de399b4e33a1a93c9a7b8a8fffb5a443ff", "test", "1410685589", "test")
	checkSignature(t, "8edac0945683c119ee71c9f6256d76c48aa08a96", "RMNlACHlV5ThzfRlVS4D4", "timestamp", "nonce", "encrypt")
	checkSignature(t, "a9993e364706816aba3e25717850c26c9cd0d89d", "c", "a", "b")
}

// The second vector's padding is longer than an AES block, which a PKCS#7 of 16
// bytes would refuse.
func TestV3PaddingIsLongerThanABlock(t *testing.T) {
	t.Parallel()
	text, err := base64.StdEncoding.DecodeString(v3Encrypt)
	if err != nil {
		t.Fatal(err)
	}
	if pad := len(text) - headerSize - len(v3Message) - len(vectorApp); len(text) != 224 || pad != 19 {
		t.Errorf("%d bytes with %d of padding, want 224 with 19", len(text), pad)
	}
}
