package tasks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ofMasters asks the Redis, or every master of a Cluster. The error is nil if all of them
// answered; what the others said is returned all the same.
func ofMasters[T any](ctx context.Context, rdb redis.UniversalClient, ask func(context.Context, redis.Cmdable) (T, error)) ([]T, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		answer, err := ask(ctx, rdb)
		if err != nil {
			return nil, err
		}
		return []T{answer}, nil
	}
	var mu sync.Mutex
	var answers []T
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		answer, err := ask(ctx, node)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		answers = append(answers, answer)
		return nil
	})
	if len(answers) == 0 && err == nil {
		err = errors.New("tasks: the cluster has no master")
	}
	return answers, err
}

// ReplicationIDs reads the replication id of Redis, or of every master of a Cluster. A
// replica that takes over gets another one, and so does a Redis that starts anew: its
// data may lack what was acknowledged last. The error is nil if all masters answered;
// an id that a managed Redis keeps to itself is empty.
func ReplicationIDs(ctx context.Context, rdb redis.UniversalClient) ([]string, error) {
	return ofMasters(ctx, rdb, func(ctx context.Context, node redis.Cmdable) (string, error) {
		text, err := node.Info(ctx, "replication").Result()
		if err != nil {
			return "", fmt.Errorf("tasks: read replication id: %w", err)
		}
		return infoField(text, "master_replid"), nil
	})
}

// infoField reads a field of INFO, empty if it is not there.
func infoField(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
