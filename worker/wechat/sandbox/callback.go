package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/producer/callback/wxcrypt"
)

// The modes of a Callback.
const (
	ModePlain      = "plain"
	ModeCompatible = "compatible" // plain text and its sealed copy in one body
	ModeSafe       = "safe"       // the sealed text alone
)

// The formats of a Callback.
const (
	FormatJSON = "json"
	FormatXML  = "xml"
)

// Callback is where WeChat pushes an app's events to, as set on the message push page of its console.
type Callback struct {
	// URL is the address, such as http://localhost:8080/wechat/APPID. Empty: nothing is pushed.
	URL string `json:"url,omitempty"`
	// Token signs every push.
	Token string `json:"token,omitempty"`
	// AESKey is the EncodingAESKey, of 43 characters. ModePlain has no use for it.
	AESKey string `json:"aes_key,omitempty"`
	// Mode is ModePlain, ModeCompatible or ModeSafe. Default ModePlain.
	Mode string `json:"mode,omitempty"`
	// Format is FormatJSON or FormatXML. Default FormatJSON.
	Format string `json:"format,omitempty"`
}

// target is a Callback made ready. It never changes.
type target struct {
	url      *url.URL
	token    string
	crypt    *wxcrypt.Crypt // nil in plain mode
	safe     bool
	xml      bool
	original string // the account's gh_ name
}

// target checks c and makes it ready; nil for no URL. The error names the field and holds no value.
func (c Callback) target(appID string) (*target, error) {
	if c.URL == "" {
		return nil, nil
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("url: must be an http or https URL")
	case c.Token == "":
		return nil, errors.New("token: must not be empty")
	case !oneOf(c.Mode, "", ModePlain, ModeCompatible, ModeSafe):
		return nil, fmt.Errorf("mode: must be %s, %s or %s", ModePlain, ModeCompatible, ModeSafe)
	case !oneOf(c.Format, "", FormatJSON, FormatXML):
		return nil, fmt.Errorf("format: must be %s or %s", FormatJSON, FormatXML)
	}
	t := &target{url: u, token: c.Token, safe: c.Mode == ModeSafe, xml: c.Format == FormatXML, original: originalID(appID)}
	if !oneOf(c.Mode, ModeCompatible, ModeSafe) {
		return t, nil
	}
	if t.crypt, err = wxcrypt.New(c.AESKey, appID); err != nil {
		return nil, fmt.Errorf("aes_key: %w", err)
	}
	return t, nil
}

// originalID is the gh_ name that an app's events go to; WeChat gives each account one.
func originalID(appID string) string {
	sum := sha256.Sum256([]byte(appID))
	return "gh_" + hex.EncodeToString(sum[:6])
}

// SetCallback replaces where an app's events are pushed to. With an empty URL no more are. Pushes that wait already go
// where they were meant to.
func (s *Server) SetCallback(appID string, c Callback) error {
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	t, err := c.target(appID)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.target = t
	return nil
}

// request makes the signed push of an event. Every try is signed, and sealed, anew.
func (t *target) request(ctx context.Context, e event, now time.Time) (*http.Request, error) {
	body, sealed, err := t.compose(e)
	if err != nil {
		return nil, err
	}
	u := *t.url
	u.RawQuery = t.sign(e.openid, sealed, now)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("sandbox: push: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	if t.xml {
		r.Header.Set("Content-Type", "text/xml")
	}
	return r, nil
}

// compose is the body of a push, and the sealed text in it if there is one.
func (t *target) compose(e event) (body []byte, sealed string, err error) {
	tree := e.tree(t)
	if t.crypt == nil {
		return t.encode(tree), "", nil
	}
	if sealed, err = t.crypt.Seal(t.encode(tree)); err != nil {
		return nil, "", fmt.Errorf("sandbox: push: %w", err)
	}
	if t.safe {
		tree = map[string]any{"ToUserName": t.original}
	}
	tree["Encrypt"] = sealed
	return t.encode(tree), sealed, nil
}

// sign returns the query of a push. The callback URL's own query stays.
func (t *target) sign(openid, sealed string, now time.Time) string {
	timestamp, nonce := strconv.FormatInt(now.Unix(), 10), newNonce()
	q := t.url.Query()
	q.Set("signature", wxcrypt.Signature(t.token, timestamp, nonce))
	q.Set("timestamp", timestamp)
	q.Set("nonce", nonce)
	if t.crypt != nil {
		q.Set("openid", openid)
		q.Set("encrypt_type", "aes")
		q.Set("msg_signature", wxcrypt.Signature(t.token, timestamp, nonce, sealed))
	}
	return q.Encode()
}

// newNonce is a number of up to ten digits, as WeChat's. It is not seeded: tries have no fixed order.
func newNonce() string { return strconv.FormatUint(uint64(rand.Uint32()), 10) }

// encode writes a tree of maps, slices, texts and numbers in the target's format.
func (t *target) encode(tree map[string]any) []byte {
	var b bytes.Buffer
	if t.xml {
		writeXML(&b, "xml", tree)
		return b.Bytes()
	}
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tree); err != nil { // a tree holds only what came from JSON or can be written as such
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// writeXML writes a value as WeChat does: texts as CDATA, lists as repeated elements.
func writeXML(b *bytes.Buffer, name string, value any) {
	if list, ok := value.([]any); ok {
		for _, item := range list {
			writeXML(b, name, item)
		}
		return
	}
	fmt.Fprintf(b, "<%s>", name)
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			writeXML(b, key, v[key])
		}
	case string:
		writeCDATA(b, v)
	case nil:
	default: // json.Number and bool
		fmt.Fprint(b, v)
	}
	fmt.Fprintf(b, "</%s>", name)
}

// writeCDATA leaves out the control characters that XML cannot hold.
func writeCDATA(b *bytes.Buffer, text string) {
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, text)
	_, _ = io.WriteString(b, "<![CDATA["+strings.ReplaceAll(text, "]]>", "]]]]><![CDATA[>")+"]]>") // a buffer never fails
}
