//go:build !failpoint

package worker

// failpoint does nothing: only a binary built with the tag failpoint has places to
// die at.
func failpoint(string) {}
