package main

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// checkServers asks every server that holds data: the one, the master that
// Sentinel names, or each master of a cluster.
func checkServers(ctx context.Context, rdb redis.UniversalClient, r *report) {
	cluster, is := rdb.(*redis.ClusterClient)
	if !is {
		checkServer(ctx, rdb, r)
		return
	}
	checkCluster(ctx, cluster, r)
	var mu sync.Mutex
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		one := &report{}
		checkServer(ctx, master, one)
		mu.Lock()
		defer mu.Unlock()
		for _, f := range one.findings {
			f.What = strings.Replace(f.What, "redis", "redis "+master.Options().Addr, 1)
			r.findings = append(r.findings, f)
		}
		return nil
	})
	if err != nil {
		r.add(levelFail, "redis cluster", "its masters cannot be listed: %v", err)
	}
}

// checkCluster asks whether all keys are served.
func checkCluster(ctx context.Context, cluster *redis.ClusterClient, r *report) {
	text, err := cluster.ClusterInfo(ctx).Result()
	info := infoFields(text)
	switch {
	case err != nil:
		r.add(levelWarn, "redis cluster", "CLUSTER INFO is not answered (%v)", err)
	case info["cluster_state"] != "ok":
		r.add(levelFail, "redis cluster", "its state is %s, with %s of 16384 slots served: some apps or users cannot be served", info["cluster_state"], info["cluster_slots_ok"])
	default:
		r.add(levelOK, "redis cluster", "%s masters, %s nodes", info["cluster_size"], info["cluster_known_nodes"])
	}
}

func checkServer(ctx context.Context, rdb redis.UniversalClient, r *report) {
	checkRedis(ctx, rdb, r)
	checkReplicas(ctx, rdb, r)
}

// checkReplicas says what a failover may lose, and whether there can be one.
func checkReplicas(ctx context.Context, rdb redis.UniversalClient, r *report) {
	info, err := redisInfo(ctx, rdb, "replication", "cluster")
	if err != nil {
		return // checkRedis has said that INFO is not answered
	}
	replicas := info["connected_slaves"]
	switch {
	case info["role"] == "slave":
		r.add(levelFail, "redis", "is a replica and takes no writes: point WXNOTIFY_REDIS_URL at the master, or at Sentinel")
	case replicas == "0" && (sentinel(rdb) || info["cluster_enabled"] == "1"):
		r.add(levelWarn, "redis replicas", "none: if this master ends, nobody takes over")
	case replicas == "0" || replicas == "":
	case redisSetting(ctx, rdb, "min-replicas-to-write") == "0":
		r.add(levelOK, "redis replicas", "%s; a failover may lose the last moments before it: min-replicas-to-write 1 narrows that, with two replicas or more", replicas)
	case replicas == "1":
		r.add(levelOK, "redis replicas", "1; if min-replicas-to-write is set, a new master takes no writes until it has a replica again: have two")
	default:
		r.add(levelOK, "redis replicas", "%s", replicas)
	}
}

// sentinel reports whether a client asks Sentinel for the master. go-redis gives
// such a client this name in place of an address.
func sentinel(rdb redis.UniversalClient) bool {
	c, is := rdb.(*redis.Client)
	return is && c.Options().Addr == "FailoverClient"
}

// infoFields reads lines of name:value.
func infoFields(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}
