package tasks

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Memory is what a Redis has in use and may use, in bytes.
type Memory struct {
	// Used is used_memory of INFO.
	Used int64
	// Max is maxmemory, 0 if none is set.
	Max int64
}

// Share is Used as a share of Max, 0 without one.
func (m Memory) Share() float64 {
	if m.Max <= 0 {
		return 0
	}
	return float64(m.Used) / float64(m.Max)
}

// ReadMemory asks Redis for its memory; of a Cluster's masters the fullest counts. A
// Redis that keeps these figures to itself is an error.
func ReadMemory(ctx context.Context, rdb redis.UniversalClient) (Memory, error) {
	nodes, err := ofMasters(ctx, rdb, nodeMemory)
	if len(nodes) == 0 {
		return Memory{}, err
	}
	return fullest(nodes), nil // a master that is away takes nothing anyway
}

func fullest(nodes []Memory) Memory {
	worst := nodes[0]
	for _, m := range nodes[1:] {
		if m.Share() > worst.Share() {
			worst = m
		}
	}
	return worst
}

func nodeMemory(ctx context.Context, rdb redis.Cmdable) (Memory, error) {
	text, err := rdb.Info(ctx, "memory").Result()
	if err != nil {
		return Memory{}, fmt.Errorf("tasks: read memory: %w", err)
	}
	return Memory{Used: infoNumber(text, "used_memory"), Max: infoNumber(text, "maxmemory")}, nil
}

// infoNumber reads a field of INFO, 0 if it is not there or no number: some managed
// Redis leave fields out.
func infoNumber(text, name string) int64 {
	n, err := strconv.ParseInt(infoField(text, name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// memoryLevel is ReadMemory for a gauge. A Redis that answers, but not this, has no
// limit that could be kept to.
func memoryLevel(ctx context.Context, rdb redis.UniversalClient) (level, error) {
	m, err := ReadMemory(ctx, rdb)
	var refused redis.Error
	if errors.As(err, &refused) {
		return level{}, nil
	}
	return level{used: m.Used, limit: m.Max}, err
}
