// Package lab is what programs share that measure or torment real processes: it
// builds the binary, starts and ends processes, and speaks to a sandbox WeChat.
package lab
