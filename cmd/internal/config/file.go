package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxFile bounds a secret file. Real ones have a line.
const maxFile = 64 << 10

// orFile returns the value of a variable or of the file that its _FILE twin names.
func (l *loader) orFile(name, value, path string) string {
	switch {
	case path == "":
		return value
	case value != "":
		l.add(name, "is set, and "+prefix+"_"+name+"_FILE too: keep one of them")
		return ""
	}
	text, err := readFile(path)
	if err != nil {
		l.add(name+"_FILE", "the file "+path+" cannot be read: "+reason(err))
		return ""
	}
	text = strings.TrimRight(text, "\r\n")
	if strings.TrimSpace(text) == "" {
		l.add(name+"_FILE", "the file "+path+" is empty")
		return ""
	}
	return text
}

var errTooLarge = errors.New("it is larger than 64 KiB")

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errTooLarge
	}
	return string(text), err
}

// reason is the cause without the path, which the caller names.
func reason(err error) string {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}
