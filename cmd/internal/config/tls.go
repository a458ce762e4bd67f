package config

import (
	"errors"

	"github.com/wxnotify/wxnotify/cmd/internal/servercert"
)

// What follows the name of a listener in the variables of its certificate.
const (
	certFile = "_TLS_CERT_FILE"
	keyFile  = "_TLS_KEY_FILE"
)

func (l *loader) tls(c *Config, s spec) {
	c.GatewayTLS = l.serverCert("GATEWAY", s.GatewayTLSCertFile, s.GatewayTLSKeyFile)
	c.CallbackTLS = l.serverCert("CALLBACK", s.CallbackTLSCertFile, s.CallbackTLSKeyFile)
	c.DashboardTLS = l.serverCert("DASHBOARD", s.DashboardTLSCertFile, s.DashboardTLSKeyFile)
	if c.CallbackTLS.Set() && c.CallbackAddr == "" && l.sound("CALLBACK_ADDR") {
		l.add("CALLBACK"+certFile, "does nothing without "+prefix+"_CALLBACK_ADDR: pushes come to "+prefix+"_GATEWAY_ADDR, with the certificate of "+
			prefix+"_GATEWAY"+certFile)
	}
}

// serverCert checks that a listener has a certificate and its key, or neither.
func (l *loader) serverCert(listener, cert, key string) servercert.Files {
	files := servercert.Files{Cert: cert, Key: key}
	if !files.Set() {
		return files
	}
	switch {
	case l.needs(Dev):
		l.add(listener+certFile, "is not for `wxnotify dev`, which speaks plain HTTP on this machine: unset it and "+prefix+"_"+listener+keyFile)
	case cert == "":
		l.add(listener+certFile, "missing: set it together with "+prefix+"_"+listener+keyFile)
	case key == "":
		l.add(listener+keyFile, "missing: set it together with "+prefix+"_"+listener+certFile)
	default:
		l.readServerCert(listener, files)
	}
	return files
}

func (l *loader) readServerCert(listener string, files servercert.Files) {
	_, err := files.Load()
	wrong := (*servercert.FileError)(nil)
	switch {
	case err == nil:
	case errors.As(err, &wrong) && wrong.Key:
		l.add(listener+keyFile, wrong.Detail)
	case errors.As(err, &wrong):
		l.add(listener+certFile, wrong.Detail)
	}
}
