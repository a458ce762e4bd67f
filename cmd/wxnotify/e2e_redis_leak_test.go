package main_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Where the content of a message and openids may be in Redis, by families of keys (see
// family): the task, asynq's list of what a worker has in hand, the dead letter, and the
// pointer that leads from an id to its recipient. Everywhere else a digest stands for
// the openid.
const (
	mayHoldContent = "asynq:{}:t asynq:workers:{} wxn:d:{}"
	mayHoldOpenID  = mayHoldContent + " wxn:p:{}"
)

// wantCleanRedis looks through all keys and values: no secret, no session_key, a token
// in its own key alone, openids and content in the records that must hold them.
func (w *world) wantCleanRedis(secrets, tokens []string) {
	w.t.Helper()
	secrets = append([]string{appSecret, gatewayKey, callbackToken, callbackKey, redisPassword, "session_key", "SessionKey"}, secrets...)
	looked := 0
	for _, key := range w.keys("*") {
		text := key + "\n" + w.value(key)
		where := family(key)
		looked++
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				w.t.Errorf("%s holds %q", key, secret)
			}
		}
		w.wantOnlyIn(text, where, "wxn:token:{}", tokens...)
		w.wantOnlyIn(text, where, mayHoldOpenID, openIDPrefix)
		w.wantOnlyIn(text, where, mayHoldContent, contentCanary)
	}
	if looked == 0 {
		w.t.Error("Redis is empty, so nothing was tested")
	}
}

// wantOnlyIn fails if a text that is in another family holds one of the canaries.
func (w *world) wantOnlyIn(text, where, families string, canaries ...string) {
	w.t.Helper()
	if slices.Contains(strings.Fields(families), where) {
		return
	}
	for _, canary := range canaries {
		if i := strings.Index(text, canary); i >= 0 {
			w.t.Errorf("a key %s holds %q: …%q…", where, canary, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

var hashTag = regexp.MustCompile(`\{[^}]*\}`)

// family is a key without what differs from app to app and from task to task.
func family(key string) string {
	short := hashTag.ReplaceAllString(key, "{}")
	if strings.HasPrefix(short, "asynq:{}:t:") {
		return "asynq:{}:t"
	}
	if parts := strings.SplitAfterN(short, "{}", 2); len(parts) == 2 && strings.HasPrefix(short, "wxn:") {
		return parts[0]
	}
	return short
}

// value is all that a key holds.
func (w *world) value(key string) string {
	w.t.Helper()
	ctx := w.t.Context()
	kind, err := w.rdb.Type(ctx, key).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	var v any
	switch kind {
	case "none": // it ended meanwhile
	case "string":
		v = w.rdb.Get(ctx, key).Val()
	case "hash":
		v = w.rdb.HGetAll(ctx, key).Val()
	case "list":
		v = w.rdb.LRange(ctx, key, 0, -1).Val()
	case "set":
		v = w.rdb.SMembers(ctx, key).Val()
	case "zset":
		v = w.rdb.ZRangeWithScores(ctx, key, 0, -1).Val()
	default:
		w.t.Errorf("%s is a %s: this test cannot read it", key, kind)
	}
	return fmt.Sprint(v)
}
