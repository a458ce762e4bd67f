package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
)

// binary is a build of wxnotify.
type binary int

const (
	// plain is what a release is.
	plain binary = iota
	// deadly dies at the place that FAILPOINT names.
	deadly
	// skewed has a clock that FAILPOINT_CLOCK moves.
	skewed
)

// binaries are the builds of one run.
type binaries struct{ dir string }

func (b *binaries) of(kind binary) string {
	return filepath.Join(b.dir, []string{"wxnotify", "wxnotify-failpoint", "wxnotify-clock"}[kind])
}

func (b *binaries) remove() { _ = os.RemoveAll(b.dir) } // a temporary folder: the system cleans up after us

// build makes what the rows need.
func build(ctx context.Context, dir string, chosen []row) (*binaries, error) {
	b := &binaries{filepath.Join(dir, "bin")}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		return nil, err
	}
	needs := func(kind binary) bool {
		return kind == plain || slices.ContainsFunc(chosen, func(r row) bool { return r.binary == kind })
	}
	for _, kind := range []binary{plain, deadly, skewed} {
		if !needs(kind) {
			continue
		}
		flags, err := b.flags(ctx, kind)
		if err == nil {
			err = lab.Build(ctx, b.of(kind), flags...)
		}
		if err != nil {
			b.remove()
			return nil, err
		}
	}
	return b, nil
}

func (b *binaries) flags(ctx context.Context, kind binary) ([]string, error) {
	switch kind {
	case deadly:
		return []string{"-tags", "failpoint"}, nil
	case skewed:
		overlay, err := writeOverlay(ctx, b.dir)
		if err != nil {
			return nil, fmt.Errorf("a clock that can be moved: %w", err)
		}
		return []string{"-overlay", overlay}, nil
	default:
		return nil, nil
	}
}
