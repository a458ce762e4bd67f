package callback

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// slowBody arrives up to its last byte, and then keeps everybody waiting.
type slowBody struct {
	io.Reader
	arrived func()
	release <-chan struct{}
}

func (s *slowBody) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		s.arrived()
		<-s.release
	}
	return n, err
}

// of returns a genuine push with another body.
func of(body io.Reader) *http.Request {
	r := push{app: plainApp, query: signed(testNow), body: popupJSON}.request()
	r.Body, r.ContentLength = io.NopCloser(body), -1
	return r
}

// A thousand large bodies that arrive slowly hold no more than they may together; those
// beyond are turned away, pushes of the usual size go on, and afterwards all do.
func TestLargeBodiesShareWhatTheyHold(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	large := popupJSON + strings.Repeat(" ", maxBody-len(popupJSON))
	release := make(chan struct{})
	var settled, done sync.WaitGroup
	var waiting, away, accepted atomic.Int64
	for range 1000 {
		settled.Add(1)
		body := &slowBody{strings.NewReader(large), sync.OnceFunc(func() { waiting.Add(1); settled.Done() }), release}
		done.Go(func() {
			switch w := b.do(of(body)); {
			case w.Code == http.StatusOK:
				accepted.Add(1)
			case w.Code == http.StatusServiceUnavailable && w.Header().Get("Connection") == "close" && w.Header().Get("Retry-After") != "":
				away.Add(1)
				settled.Done()
			default:
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	settled.Wait()
	// Bodies that are turned away had some of it for a moment, so it may be a few less.
	most := int64(sharedBodies / (maxBody + 1 - ownBody))
	if n := waiting.Load(); n > most || n == 0 || away.Load() != 1000-n {
		t.Errorf("%d large bodies wait and %d were turned away, want 1 to %d to wait", n, away.Load(), most)
	}
	if held := b.intake.held.Load(); held > sharedBodies {
		t.Errorf("they hold %d bytes, want at most %d", held, sharedBodies)
	}
	if w := b.do(of(strings.NewReader(popupJSON))); w.Code != http.StatusOK {
		t.Errorf("a usual push meanwhile: %d %s", w.Code, w.Body)
	}
	close(release)
	done.Wait()
	if accepted.Load() != waiting.Load() || b.intake.held.Load() != 0 {
		t.Errorf("%d of %d that waited were accepted, %d bytes are held by nobody", accepted.Load(), waiting.Load(), b.intake.held.Load())
	}
	if w := b.do(of(strings.NewReader(large))); w.Code != http.StatusOK {
		t.Errorf("a large push afterwards: %d %s", w.Code, w.Body)
	}
	if text := b.logged(); strings.Count(text, "pushes turned away") != 1 {
		t.Errorf("log, want one line:\n%s", text)
	}
}

// Whatever becomes of a body, what it held is given back, and every size is taken.
func TestBodiesOfEverySize(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	for _, size := range []int{firstBuffer - 1, firstBuffer, firstBuffer + 1, ownBody, ownBody + 1, maxBody - 1, maxBody, maxBody + 1, 2 * maxBody} {
		text := popupJSON + strings.Repeat(" ", size-len(popupJSON))
		want, cut := http.StatusOK, io.MultiReader(strings.NewReader(text), cutReader{})
		if size > maxBody {
			want = http.StatusForbidden
		}
		for _, c := range []struct {
			body io.Reader
			want int
		}{{strings.NewReader(text), want}, {cut, http.StatusForbidden}} {
			if w := b.do(of(c.body)); w.Code != c.want || b.intake.held.Load() != 0 {
				t.Errorf("%d bytes: %d, want %d; %d bytes are held by nobody", size, w.Code, c.want, b.intake.held.Load())
			}
		}
	}
}

type cutReader struct{}

func (cutReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
