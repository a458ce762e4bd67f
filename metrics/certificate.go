package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Servers that may have a certificate, for [Metrics.CollectCertificate].
const (
	ServerGateway   = "gateway"
	ServerCallback  = "callback"
	ServerDashboard = "dashboard"
)

// CollectCertificate adds the series of the certificate that a server serves. Each
// scrape asks until for its end. It may be called once per server and Metrics.
func (m *Metrics) CollectCertificate(server string, until func() time.Time) error {
	if m == nil {
		return nil
	}
	err := m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "wxnotify_tls_certificate_expires_timestamp_seconds",
		Help:        "When the certificate that the server serves now expires, Unix time; absent where it speaks plain HTTP.",
		ConstLabels: prometheus.Labels{"server": server},
	}, func() float64 { return unixSeconds(until()) }))
	if err != nil {
		return fmt.Errorf("metrics: collect certificate: %w", err)
	}
	return nil
}
