// Package wechat calls the WeChat Mini Program API: it asks for an access_token,
// sends messages with one, reads the app's templates and quotas and exchanges login
// codes. It keeps no token and no other state but its connections; who shares and
// renews tokens is worker/token.
//
// Every failure is an *Error, which tells the class of the outcome and whether
// the request was written. That last fact decides whether a message may have
// been sent, because WeChat has no idempotency key: a request that was written
// and not answered may have been accepted, one that was never written was not.
//
// No text this package produces holds an access_token, an AppSecret, a login code,
// a session_key, an openid, a form_id, message content or a URL. Errors of net/http carry the URL, and ours carry
// credentials in it, so such errors are taken apart and never passed on.
package wechat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultBaseURL   = "https://api.weixin.qq.com"
	defaultTimeout   = 10 * time.Second
	defaultMaxConns  = 64
	defaultUserAgent = "wxnotify"

	// connectTimeout bounds the dial and, apart from it, the TLS handshake.
	connectTimeout = 5 * time.Second
	// idleTimeout is shorter than the keep-alive time of usual servers: a POST on
	// a connection the server is just closing ends as an unknown outcome.
	idleTimeout = 30 * time.Second
	// maxHeaderBytes bounds the header of an answer.
	maxHeaderBytes = 64 << 10
)

// Config is how a Client reaches WeChat.
type Config struct {
	// BaseURL is the http or https address before /cgi-bin and /sns; a path is allowed, for
	// private gateways. Default https://api.weixin.qq.com.
	BaseURL string
	// Timeout bounds a whole call, from the dial to the last byte of the answer.
	// Default 10 s.
	Timeout time.Duration
	// MaxConns is how many idle connections are kept, which should be the number
	// of calls made at once. More calls open more connections. Default 64.
	MaxConns int
	// UserAgent is sent with every request. Default wxnotify.
	UserAgent string
	// Observe, if set, hears of every call exactly once, at its end: the API
	// constant of tasks/errcode, how long it took, and the outcome. code 0 with a
	// nil error is success; another code is the errcode WeChat answered; code 0
	// with an error means that no errcode was read. err is the *Error the caller
	// gets. Default nil.
	Observe func(api string, d time.Duration, code int, err error)
}

// Client calls the WeChat API. It is safe for concurrent use.
type Client struct {
	transport  *http.Transport
	timeout    time.Duration
	observe    func(api string, d time.Duration, code int, err error)
	getHeader  http.Header
	postHeader http.Header

	tokenURL         *url.URL
	stableTokenURL   *url.URL
	subscribeSendURL *url.URL
	templateSendURL  *url.URL
	codeToSessionURL *url.URL
	templatesURL     *url.URL
	quotaURL         *url.URL

	deviceSendURL       *url.URL
	setUserNotifyURL    *url.URL
	setUserNotifyExtURL *url.URL
	getUserNotifyURL    *url.URL
}

// New makes a Client. An error names the field that is wrong, without its value.
func New(cfg Config) (*Client, error) {
	cfg = withDefaults(cfg)
	base, err := parseBaseURL(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Client{
		transport:        newTransport(cfg),
		timeout:          cfg.Timeout,
		observe:          cfg.Observe,
		getHeader:        http.Header{"User-Agent": {cfg.UserAgent}},
		postHeader:       http.Header{"User-Agent": {cfg.UserAgent}, "Content-Type": {"application/json"}},
		tokenURL:         base.JoinPath("/cgi-bin/token"),
		stableTokenURL:   base.JoinPath("/cgi-bin/stable_token"),
		subscribeSendURL: base.JoinPath(PathSubscribeSend),
		templateSendURL:  base.JoinPath(PathTemplateSend),
		codeToSessionURL: base.JoinPath("/sns/jscode2session"),
		templatesURL:     base.JoinPath("/wxaapi/newtmpl/gettemplate"),
		quotaURL:         base.JoinPath("/cgi-bin/openapi/quota/get"),

		deviceSendURL:       base.JoinPath(PathDeviceSend),
		setUserNotifyURL:    base.JoinPath(PathSetUserNotify),
		setUserNotifyExtURL: base.JoinPath("/wxa/set_user_notifyext"),
		getUserNotifyURL:    base.JoinPath("/wxa/get_user_notify"),
	}, nil
}

// Close closes the idle connections. Calls still under way end by themselves.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
}

func withDefaults(cfg Config) Config {
	cfg.BaseURL = cmp.Or(cfg.BaseURL, defaultBaseURL)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.MaxConns = cmp.Or(cfg.MaxConns, defaultMaxConns)
	cfg.UserAgent = cmp.Or(cfg.UserAgent, defaultUserAgent)
	return cfg
}

func (cfg Config) validate() error {
	switch {
	case cfg.Timeout < 0:
		return errors.New("wechat: Timeout: must be positive")
	case cfg.MaxConns < 0:
		return errors.New("wechat: MaxConns: must be positive")
	case strings.ContainsFunc(cfg.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }):
		return errors.New("wechat: UserAgent: must be printable ASCII")
	}
	return nil
}

func parseBaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil: // The cause would print the value.
		return nil, errors.New("wechat: BaseURL: not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("wechat: BaseURL: must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("wechat: BaseURL: has no host")
	case u.User != nil:
		return nil, errors.New("wechat: BaseURL: must not hold a user or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("wechat: BaseURL: must not have a query or fragment")
	}
	u.Path = cmp.Or(u.Path, "/") // JoinPath makes a relative path of an empty one.
	return u, nil
}

// newTransport speaks HTTP/1.1 only: whether a request was written can be told
// exactly only where one request at a time has the connection.
func newTransport(cfg Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: min(connectTimeout, cfg.Timeout)}
	return &http.Transport{
		Proxy:                  proxyFromEnvironment,
		OnProxyConnectResponse: refuseProxyAnswer,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countedConn{Conn: conn}, nil
		},
		TLSHandshakeTimeout:    min(connectTimeout, cfg.Timeout),
		MaxIdleConnsPerHost:    cfg.MaxConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
		Protocols:              protocols,
	}
}

var errProxySetting = errors.New("the proxy setting of the environment is not a valid URL")

// proxyFromEnvironment honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY. The error of
// net/http would print the setting, which may hold a password.
func proxyFromEnvironment(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errProxySetting
	}
	return u, nil
}

// proxyStatus is the HTTP status with which a proxy refused the tunnel.
type proxyStatus int

func (s proxyStatus) Error() string {
	return fmt.Sprintf("the proxy refused the tunnel with http status %d", int(s))
}

func refuseProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return proxyStatus(resp.StatusCode)
	}
	return nil
}

// call makes one call and tells Observe of it.
func (c *Client) call(ctx context.Context, r request) (answer, error) {
	start := time.Now()
	a, failure := c.exchange(ctx, r)
	if failure == nil {
		c.tell(r.api, start, 0, nil)
		return a, nil
	}
	c.tell(r.api, start, failure.Code, failure)
	return answer{}, failure
}

func (c *Client) tell(api string, start time.Time, code int, err error) {
	if c.observe != nil {
		c.observe(api, time.Since(start), code, err)
	}
}

// exchange writes the request and reads the answer. It asks the transport
// itself, not an http.Client: that follows no redirect, keeps no cookie and
// wraps no error in a text with the URL.
func (c *Client) exchange(ctx context.Context, r request) (answer, *Error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var sent wire
	resp, err := c.transport.RoundTrip(c.newRequest(sent.trace(ctx), r))
	if err != nil {
		return answer{}, r.unanswered(ctx, err, sent.written())
	}
	defer func() { _ = resp.Body.Close() }() // Whatever counts has been read by then.
	if failure := r.unreadable(resp.StatusCode); failure != nil {
		return answer{}, failure
	}
	body, err := readBody(resp.Body, cmp.Or(r.maxBody, maxBody))
	if err != nil {
		failure := r.unanswered(ctx, err, true)
		failure.HTTPStatus = resp.StatusCode
		return answer{}, failure
	}
	return r.judge(resp.StatusCode, body)
}
