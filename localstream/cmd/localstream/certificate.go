package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The certificate that serve -tls makes for itself, in the data directory: the authority that clients are to trust,
// and the server's own certificate, signed by it, with its key. The authority's key is thrown away: nobody can sign
// anything else with it. Both files are made anew when the certificate is about to expire or lacks a host.
const (
	authorityFile   = "tls-ca.pem"
	certificateFile = "tls.pem"

	certificateLife   = 2 * 365 * 24 * time.Hour
	certificateMargin = 30 * 24 * time.Hour
)

// ownCertificate is the certificate in dir, made if there is none that is good for the hosts, and the path of its
// authority.
func ownCertificate(dir string, hosts []string) (tls.Certificate, string, error) {
	authority, file := filepath.Join(dir, authorityFile), filepath.Join(dir, certificateFile)
	if c, err := tls.LoadX509KeyPair(file, file); err == nil && usable(c.Leaf, hosts) {
		if _, err := os.Stat(authority); err == nil {
			return c, authority, nil
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, "", fmt.Errorf("-tls: %s: %w; remove it to have a new one made", file, err)
	}
	ca, leaf, err := makeCertificate(hosts)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("-tls: making a certificate: %w", err)
	}
	// The authority first: a certificate without it is made anew.
	if err := os.WriteFile(authority, ca, 0o644); err != nil {
		return tls.Certificate{}, "", fmt.Errorf("-tls: %w", err)
	}
	if err := os.WriteFile(file, leaf, 0o600); err != nil {
		return tls.Certificate{}, "", fmt.Errorf("-tls: %w", err)
	}
	c, err := tls.X509KeyPair(leaf, leaf)
	return c, authority, err
}

// usable reports whether a certificate is good for all hosts, for a while.
func usable(c *x509.Certificate, hosts []string) bool {
	for _, host := range hosts {
		if c.VerifyHostname(host) != nil {
			return false
		}
	}
	return time.Now().Before(c.NotAfter.Add(-certificateMargin))
}

// makeCertificate makes an authority and a certificate for the hosts signed by it, in PEM; the second with its key.
func makeCertificate(hosts []string) (authority, leaf []byte, err error) {
	from := time.Now().Add(-time.Hour) // clocks differ
	template := func(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		return &x509.Certificate{
			SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: from.Add(certificateLife),
			BasicConstraintsValid: true,
		}, key, err
	}
	ca, caKey, err := template("localstream authority")
	if err != nil {
		return nil, nil, err
	}
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageCertSign
	own, ownKey, err := template("localstream")
	if err != nil {
		return nil, nil, err
	}
	own.KeyUsage, own.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			own.IPAddresses = append(own.IPAddresses, ip)
		} else {
			own.DNSNames = append(own.DNSNames, host)
		}
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, nil, err
	}
	ownDER, err := x509.CreateCertificate(rand.Reader, own, ca, ownKey.Public(), caKey)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(ownKey)
	if err != nil {
		return nil, nil, err
	}
	authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	leaf = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ownDER}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	return authority, leaf, nil
}
