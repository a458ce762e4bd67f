package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/cmd/internal/servercert"
	"github.com/wxnotify/wxnotify/metrics"
)

// serverTLS is the TLS of a server, nil if it has no certificate. variable names
// that for the log; m tells when it ends.
func serverTLS(server string, files servercert.Files, variable string, log *slog.Logger, m *metrics.Metrics) (*tls.Config, error) {
	if !files.Set() {
		return nil, nil
	}
	keeper, err := servercert.Keep(files, log.With("variable", variable))
	if err != nil { // config has read it: it changed since
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	return keeper.Config(), m.CollectCertificate(server, keeper.Until)
}

// The variables of the certificates.
const (
	gatewayCert   = "WXNOTIFY_GATEWAY_TLS_CERT_FILE"
	callbackCert  = "WXNOTIFY_CALLBACK_TLS_CERT_FILE"
	dashboardCert = "WXNOTIFY_DASHBOARD_TLS_CERT_FILE"
)

// certWarning is how long before its end a certificate should have been renewed.
const certWarning = 14 * 24 * time.Hour

// checkCerts says how long the certificates last.
func checkCerts(c *config.Config, now time.Time, r *report) {
	for _, listener := range []struct {
		variable string
		files    servercert.Files
	}{{gatewayCert, c.GatewayTLS}, {callbackCert, c.CallbackTLS}, {dashboardCert, c.DashboardTLS}} {
		if listener.files.Set() {
			checkCert(listener.variable, listener.files, now, r)
		}
	}
}

func checkCert(variable string, files servercert.Files, now time.Time, r *report) {
	pair, err := files.Load()
	if err != nil {
		r.add(levelFail, variable, "%v", err)
		return
	}
	until := pair.Leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case servercert.Expired(pair, now):
		r.add(levelWarn, variable, "the certificate is valid from %s until %s, not now: clients refuse it; renew it, or correct the clock",
			pair.Leaf.NotBefore.UTC().Format(time.RFC3339), until)
	case pair.Leaf.NotAfter.Sub(now) < certWarning:
		r.add(levelWarn, variable, "the certificate ends at %s: renew it; new files are taken up within a minute, without a restart", until)
	default:
		r.add(levelOK, variable, "the certificate is valid until %s", until)
	}
}
