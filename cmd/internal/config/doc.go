// Package config is the only reader of the environment. Load reads every
// WXNOTIFY_ variable, checks all of them and their relations, and answers either
// a Config that can be used as it is or one error that lists everything that is
// wrong, by name and with the remedy, never with a value.
//
// An empty variable counts as one that is not set. Names and defaults live in
// the specification that envconfig reads, so the table in the README, the search
// for unknown variables and the reading itself cannot disagree.
package config
