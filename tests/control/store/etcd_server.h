// A true etcd on loopback, alone or one of three: started, killed, wiped and started again by the
// test. Of what etcd logs the end is shown when it does not start.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "tests/control/store/temporary.h"

namespace penstock::test {

class EtcdServer {
 public:
  // TLS by PEM files, when there is a certificate.
  struct Tls {
    std::string ca, certificate, key;
  };

  // `members` servers that know each other; none is started.
  static std::vector<EtcdServer> make(const TemporaryFolder& folder, size_t members);
  EtcdServer(EtcdServer&& other) noexcept;
  EtcdServer& operator=(EtcdServer&&) = delete;
  ~EtcdServer() { kill(); }

  void use(const Tls& tls) { tls_ = tls; }
  void start();
  void wait_until_ready() const;
  void kill();
  // All it had; only when it is not running.
  void wipe();
  void stop() const;    // SIGSTOP: it holds its connections and answers nothing
  void resume() const;  // SIGCONT
  bool is_leader() const;
  std::string endpoint() const;

 private:
  EtcdServer() = default;
  std::string metrics() const;

  std::string name_, data_, log_, cluster_;
  Tls tls_;
  int client_port_ = 0, peer_port_ = 0, metrics_port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace penstock::test
