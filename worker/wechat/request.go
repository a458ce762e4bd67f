package wechat

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxBody bounds the body of most answers; real ones have a few hundred bytes.
const maxBody = 64 << 10

// oversize says that an answer has more than so many bytes.
type oversize int64

func (o oversize) Error() string {
	return fmt.Sprintf("the answer is larger than %d KiB", int64(o)>>10)
}

// request is one call to WeChat.
type request struct {
	api      string   // an API constant of tasks/errcode
	endpoint *url.URL // shared, never changed
	query    string
	body     []byte // nil: a GET
	private  redactor
	maxBody  int64 // of the answer, in bytes; 0: the usual
	// missing tells what an answer without a failing errcode lacks to be a
	// success, "" if nothing.
	missing func(answer) string
}

// newRequest builds the HTTP request by hand, since the URL is known already.
// The length of the body is known: WeChat answers chunked bodies with 412.
func (c *Client) newRequest(ctx context.Context, r request) *http.Request {
	u := *r.endpoint
	u.RawQuery = r.query
	req := &http.Request{
		Method: http.MethodGet, URL: &u, Host: u.Host, Header: c.getHeader,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if r.body != nil {
		req.Method = http.MethodPost
		req.Header = c.postHeader
		req.ContentLength = int64(len(r.body))
		req.Body = newBody(r.body)
		// Lets the transport take another connection where a kept one turns out
		// closed before a byte was written; it repeats a POST in no other case.
		req.GetBody = func() (io.ReadCloser, error) { return newBody(r.body), nil }
	}
	return req.WithContext(ctx)
}

func newBody(b []byte) io.ReadCloser {
	return io.NopCloser(bytes.NewReader(b))
}

// readBody reads to the end, so that the connection can be used again.
func readBody(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, oversize(limit)
	}
	return body, nil
}
