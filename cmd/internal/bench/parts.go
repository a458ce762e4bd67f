package main

import (
	"context"
	"fmt"
	"slices"
)

// The parts of a run, as -only names them.
const (
	partTraffic    = "traffic"
	partThroughput = "throughput"
	partLatency    = "latency"
	partRate       = "rate"
	partCallback   = "callback"
	partFormIDs    = "form-ids"
	partCredits    = "credits"
)

// part is a measurement that can be taken alone.
type part struct {
	name, what string
	measure    func(context.Context, *testbed, *results) error
}

// parts are all there are, in the order in which they are taken.
func parts() []part {
	return []part{
		{partTraffic, "Redis traffic, loaded and idle", measureTraffic},
		{partThroughput, "throughput and memory", measureThroughput},
		{partLatency, "latency", measureLatency},
		{partRate, "rates and critical sends", measureRate},
		{partCallback, "callbacks", measureCallbacks},
		{partFormIDs, "form ids: memory and purge", measureFormIDs},
		{partCredits, "credits: memory", measureCredits},
	}
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// checkParts says which name is no part's.
func checkParts(names []string) error {
	for _, name := range names {
		if !slices.Contains(partNames(), name) {
			return fmt.Errorf("there is no part %q", name)
		}
	}
	return nil
}

// wants says whether a part is to be measured.
func (o options) wants(name string) bool { return slices.Contains(o.only, name) }
