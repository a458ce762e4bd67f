package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// noJSON has the size of the largest batch but one byte, and is seen through at once.
var noJSON = strings.Repeat("}", maxBatch-1)

// held is a body that arrives up to its last byte, and then keeps everybody waiting.
type held struct {
	io.Reader
	arrived func()
	release <-chan struct{}
}

func (h *held) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if err == io.EOF {
		h.arrived()
		<-h.release
	}
	return n, err
}

// Large bodies that arrive slowly share what there is of memory; small ones go on.
func TestLargeBodiesDoNotHoldUpSmallOnes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := make(chan struct{})
	large := func() io.Reader { return strings.NewReader(noJSON) }
	var arrived, done sync.WaitGroup
	for range sharedBodies / (maxBatch - ownBody) { // as many as there is room for
		arrived.Add(1)
		body := &held{large(), sync.OnceFunc(arrived.Done), release}
		done.Go(func() {
			if r := b.postReader("/v1/notifications:batch", body); r.Code != http.StatusBadRequest {
				t.Errorf("%d %s", r.Code, r.Body)
			}
		})
	}
	arrived.Wait()
	r := b.postReader("/v1/notifications:batch", large())
	if r.Code != http.StatusServiceUnavailable || r.Header().Get("Retry-After") == "" || r.Header().Get("Connection") != "close" {
		t.Errorf("one too many: %d %s, header %v", r.Code, r.Body, r.Header())
	}
	b.do("POST", "/v1/notifications", notification()).want(202)
	close(release)
	done.Wait()
	if r := b.postReader("/v1/notifications:batch", large()); r.Code != http.StatusBadRequest {
		t.Errorf("afterwards: %d %s", r.Code, r.Body)
	}
}

func (b *bundle) postReader(path string, body io.Reader) *httptest.ResponseRecorder {
	req := httptest.NewRequest("POST", path, body)
	req.Header.Set("Authorization", "Bearer "+secretKey)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, req)
	return rec
}

// Whatever becomes of a request, what its body took is given back.
func TestIntakeIsGivenBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 * sharedBodies / maxBatch {
		var body io.Reader = strings.NewReader(noJSON)
		want := http.StatusBadRequest
		switch i % 3 {
		case 1:
			body, want = strings.NewReader(noJSON+noJSON), http.StatusRequestEntityTooLarge
		case 2:
			body = io.MultiReader(strings.NewReader(noJSON[:maxBatch/2]), failing{})
		}
		if r := b.postReader("/v1/notifications:batch", body); r.Code != want {
			t.Fatalf("request %d: %d %s, want %d", i, r.Code, r.Body, want)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, fmt.Errorf("cut") }

func TestBodiesOfEverySize(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, size := range []int{firstBuffer - 1, firstBuffer, firstBuffer + 1, ownBody, ownBody + 1, maxBody - 1, maxBody, maxBody + 1} {
		n := notification("id", fmt.Sprint("s-", size))
		want := http.StatusAccepted
		if size > maxBody {
			want = http.StatusRequestEntityTooLarge
		}
		b.do("POST", "/v1/notifications", strings.Repeat(" ", size-len(n))+n).want(want)
	}
}
