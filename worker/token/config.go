package token

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// API is the part of *wechat.Client that answers tokens.
type API interface {
	Token(ctx context.Context, c wechat.Credential) (wechat.AccessToken, error)
	StableToken(ctx context.Context, c wechat.Credential, force bool) (wechat.AccessToken, error)
}

// App is a Mini Program and how its token is had.
type App struct {
	Credential wechat.Credential
	Mode       Mode // Default Stable.
	API        API
}

// Config says for which apps tokens are kept, and where.
type Config struct {
	// Redis is a client made by tasks.ConnectRedis. It stays the caller's.
	Redis     redis.UniversalClient
	Namespace tasks.Namespace
	Apps      []App
	// Logger takes one line for each new token and for trouble in Maintain. Default none.
	Logger *slog.Logger
	// Observe is told how each renewal ended, with a Cause and a Result. Default none.
	Observe func(app, cause, result string)
	// ObserveExpiry is told by Maintain when an app's token ends, on Redis's clock;
	// the zero time when there is none that may be used. Default none.
	ObserveExpiry func(app string, at time.Time)
	// HTTPTimeout is how long one call to WeChat may take. Default 10 s.
	HTTPTimeout time.Duration
	// MaxPerMinute bounds the calls for one app, by all processes together. It must
	// be higher only where tokens live for seconds. Default 6.
	MaxPerMinute int
	// WatchEvery is how often Maintain looks whether another process has stored a
	// new token; the old one works for five more minutes. Default 5 s.
	WatchEvery time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(string, string, string) {}
	}
	if c.ObserveExpiry == nil {
		c.ObserveExpiry = func(string, time.Time) {}
	}
	if c.HTTPTimeout <= 0 {
		c.HTTPTimeout = 10 * time.Second
	}
	if c.MaxPerMinute <= 0 {
		c.MaxPerMinute = 6
	}
	if c.WatchEvery <= 0 {
		c.WatchEvery = 5 * time.Second
	}
	return c
}

// fetch is the call of the app's mode. Stable mode is never asked with
// force_refresh: that is for leaked tokens, 20 times a day, and takes the token
// away from everybody else (wechat-api 1.2, 11.1).
func (a App) fetch() (func(context.Context) (wechat.AccessToken, error), error) {
	switch a.Mode {
	case Stable, "":
		return func(ctx context.Context) (wechat.AccessToken, error) {
			return a.API.StableToken(ctx, a.Credential, false)
		}, nil
	case Classic:
		return func(ctx context.Context) (wechat.AccessToken, error) {
			return a.API.Token(ctx, a.Credential)
		}, nil
	}
	return nil, fmt.Errorf("token: Apps: %s: Mode must be %s or %s", a.Credential.AppID, Stable, Classic)
}

// limits are the bounds every renewal goes by.
type limits struct {
	httpTimeout  time.Duration
	maxPerMinute int
	askEvery     time.Duration // between two questions near the end of a token
}

// lockMargin is what the lock's life adds to the HTTP timeout, for storing the
// answer. Who needs longer is not trusted: its turn decides.
const lockMargin = 5 * time.Second

func (l limits) lease() time.Duration { return l.httpTimeout + lockMargin }

// flight bounds a renewal as a whole: waiting for the lock of a process that
// died, then a call of its own.
func (l limits) flight() time.Duration { return 2 * l.lease() }
