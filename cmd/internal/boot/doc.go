// Package boot is what every subcommand of wxnotify starts with: a logger that
// cannot show a secret, and a lifecycle in which the parts of a process start,
// run and stop together.
package boot
