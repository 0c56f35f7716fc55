package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

// tlsOf is how a client of such a cluster connects. The framework logs in over plain text alone by itself, as no
// test of etcd's has both users and TLS.
func tlsOf(cfg ClientConfig) *tls.Config {
	if cfg.ConnectionType != ClientTLS {
		return nil
	}
	if cfg.AutoTLS {
		return &tls.Config{InsecureSkipVerify: true}
	}
	certificate, err := tls.LoadX509KeyPair(CertPath, PrivateKeyPath)
	if err != nil {
		panic(err)
	}
	authority, err := os.ReadFile(CaPath)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: pool}
}
