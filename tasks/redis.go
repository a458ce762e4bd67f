package tasks

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisOptions shapes a Redis client. The zero value suits a worker.
type RedisOptions struct {
	// Timeout bounds dialing, each write and each read. Default 5 s.
	Timeout time.Duration
	// MaxRetries is how often a command whose answer was lost is sent again.
	// Every script of ours is safe to run twice. Default 3, -1 for none; on a cluster
	// at least 3, since a redirection counts too.
	MaxRetries int
	// PoolSize bounds the connections. Default: go-redis's, ten per CPU.
	PoolSize int
}

// errRedisURL never quotes the URL: it may hold a password, and a mistyped one
// is where url.Parse would print it.
var errRedisURL = errors.New("tasks: redis URL cannot be used: write redis://[user:password@]host:port/db, rediss:// for TLS, " +
	"redis-sentinel://host:port/db?master_name=NAME&addr=host2:port (user and password there are Sentinel's, " +
	"Redis's own are &username= and &password=) or redis-cluster://host:port?addr=host2:port; escape special characters of the password")

// ConnectRedis returns a client for a redis://, rediss://, redis-sentinel:// or
// redis-cluster:// URL (rediss-sentinel and rediss-cluster for TLS). It opens no
// connection. TLS trusts the system's certificates, and on Linux those of the PEM
// file that SSL_CERT_FILE names. All clients of this project are made here, so that
// a deadline always bounds a command, whatever state Redis is in.
func ConnectRedis(url string, o RedisOptions) (redis.UniversalClient, error) {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || rest == "" {
		return nil, errRedisURL
	}
	base := "redis://" + rest
	if strings.HasPrefix(scheme, "rediss") {
		base = "rediss://" + rest
	}
	switch scheme {
	case "redis", "rediss":
		return connectSingle(base, o)
	case "redis-sentinel", "rediss-sentinel":
		return connectSentinel(base, o)
	case "redis-cluster", "rediss-cluster":
		return connectCluster(base, o)
	}
	return nil, errRedisURL
}

func connectSingle(url string, o RedisOptions) (redis.UniversalClient, error) {
	opt, err := redis.ParseURL(url)
	if err != nil {
		return nil, errRedisURL
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = o.Timeout, o.Timeout, o.Timeout, o.Timeout
	opt.ContextTimeoutEnabled = true
	opt.MaxRetries, opt.PoolSize, opt.DialerRetries = o.MaxRetries, o.PoolSize, dialTries
	opt.MaintNotificationsConfig, opt.Protocol = noMaintNotifications(), protocol
	return redis.NewClient(opt), nil
}

func connectSentinel(url string, o RedisOptions) (redis.UniversalClient, error) {
	opt, err := redis.ParseFailoverURL(url)
	if err != nil || opt.MasterName == "" {
		return nil, errRedisURL
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = o.Timeout, o.Timeout, o.Timeout, o.Timeout
	opt.ContextTimeoutEnabled = true
	opt.MaxRetries, opt.PoolSize, opt.DialerRetries = o.MaxRetries, o.PoolSize, dialTries
	opt.Protocol = protocol
	return redis.NewFailoverClient(opt), nil
}

func connectCluster(url string, o RedisOptions) (redis.UniversalClient, error) {
	opt, err := redis.ParseClusterURL(url)
	if err != nil {
		return nil, errRedisURL
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = o.Timeout, o.Timeout, o.Timeout, o.Timeout
	opt.ContextTimeoutEnabled = true
	// A redirection is a try, and the client follows so many of both together:
	// tries of each node beside them would multiply.
	opt.MaxRetries, opt.MaxRedirects = -1, max(o.MaxRetries, clusterTries)
	opt.PoolSize, opt.DialerRetries = o.PoolSize, dialTries
	opt.ClusterStateReloadInterval = clusterLook
	opt.MaintNotificationsConfig, opt.Protocol = noMaintNotifications(), protocol
	return redis.NewClusterClient(opt), nil
}

// dialTries is how often one try of a command dials: the command's own retries
// are enough, and a caller should not wait for both.
const dialTries = 1

// clusterTries is how often a command is sent again at least, to the same or
// another node of a cluster.
const clusterTries = 3

// clusterLook is how often a busy client asks which node serves what. A master
// that cannot be reached any more says nothing of its successor, and go-redis does
// not ask the others then; its own default would miss a takeover for a minute.
const clusterLook = time.Second

// protocol is RESP2: nothing here needs what RESP3 adds, and with it the client
// looks for pushed messages before every answer.
const protocol = 2

// noMaintNotifications switches off a handshake that only Redis Enterprise
// answers; elsewhere it costs a round trip per connection and logs.
func noMaintNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// Batching returns a face of rdb that sends the commands of many goroutines
// together, which saves a busy worker most of its system calls and, over a
// network, its round trips. A lone command goes at once. A context does not bound
// a command there; the client's timeouts do. The face ends with rdb. A client of a
// Redis Cluster is returned as it is: there a batch holds commands for several
// masters and waits for each, so that one that is away would hold up the others' work.
func Batching(rdb redis.UniversalClient) redis.UniversalClient {
	client, able := rdb.(*redis.Client)
	if !able {
		return rdb
	}
	batching, err := client.AutoPipeline()
	if err != nil { // only for options that ConnectRedis does not set, or a closed client
		return rdb
	}
	return batching
}

// CheckRedisURL reports whether ConnectRedis would take url, without a client.
func CheckRedisURL(url string) error {
	c, err := ConnectRedis(url, RedisOptions{})
	if err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return fmt.Errorf("tasks: close redis client: %w", err)
	}
	return nil
}

// Script joins embedded Lua files to one script. It panics if a file is missing,
// which a first run shows.
func Script(files embed.FS, names ...string) *redis.Script {
	var text strings.Builder
	for _, name := range names {
		part, err := files.ReadFile(name)
		if err != nil {
			panic(err)
		}
		text.Write(part)
	}
	return redis.NewScript(text.String())
}
