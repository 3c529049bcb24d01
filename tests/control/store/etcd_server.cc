#include "tests/control/store/etcd_server.h"

#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "dataplane/base/fd.h"

namespace penstock::test {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

// All at once, so that no two are the same.
std::vector<int> free_ports(size_t count) {
  std::vector<Fd> held;
  std::vector<int> ports;
  for (size_t i = 0; i < count; i++) {
    Fd s(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in a = loopback(0);
    socklen_t len = sizeof a;
    EXPECT_EQ(bind(s.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    EXPECT_EQ(getsockname(s.get(), reinterpret_cast<sockaddr*>(&a), &len), 0);
    ports.push_back(ntohs(a.sin_port));
    held.push_back(std::move(s));
  }
  return ports;
}

std::string url(const char* scheme, int port) {
  return std::string(scheme) + "://127.0.0.1:" + std::to_string(port);
}

}  // namespace

std::vector<EtcdServer> EtcdServer::make(const TemporaryFolder& folder, size_t members) {
  const auto ports = free_ports(3 * members);
  std::string cluster;
  for (size_t i = 0; i < members; i++)
    cluster += (i ? ",m" : "m") + std::to_string(i) + "=" + url("http", ports[3 * i + 1]);
  std::vector<EtcdServer> all;
  for (size_t i = 0; i < members; i++) {
    EtcdServer s;
    s.name_ = "m" + std::to_string(i);
    s.data_ = folder.file(s.name_);
    s.log_ = folder.file(s.name_ + ".log");
    s.cluster_ = cluster;
    s.client_port_ = ports[3 * i];
    s.peer_port_ = ports[3 * i + 1];
    s.metrics_port_ = ports[3 * i + 2];
    all.push_back(std::move(s));
  }
  return all;
}

EtcdServer::EtcdServer(EtcdServer&& other) noexcept
    : name_(std::move(other.name_)),
      data_(std::move(other.data_)),
      log_(std::move(other.log_)),
      cluster_(std::move(other.cluster_)),
      tls_(std::move(other.tls_)),
      client_port_(other.client_port_),
      peer_port_(other.peer_port_),
      metrics_port_(other.metrics_port_),
      pid_(std::exchange(other.pid_, -1)) {}

std::string EtcdServer::endpoint() const {
  return "127.0.0.1:" + std::to_string(client_port_);
}

void EtcdServer::start() {
  const std::string client = url(tls_.certificate.empty() ? "http" : "https", client_port_);
  const std::string peer = url("http", peer_port_);
  std::vector<std::string> words = {"etcd",
                                    "--name",
                                    name_,
                                    "--data-dir",
                                    data_,
                                    "--listen-client-urls",
                                    client,
                                    "--advertise-client-urls",
                                    client,
                                    "--listen-peer-urls",
                                    peer,
                                    "--initial-advertise-peer-urls",
                                    peer,
                                    "--initial-cluster",
                                    cluster_,
                                    "--listen-metrics-urls",
                                    url("http", metrics_port_)};
  if (!tls_.certificate.empty())
    words.insert(words.end(), {"--cert-file", tls_.certificate, "--key-file", tls_.key,
                               "--client-cert-auth", "--trusted-ca-file", tls_.ca});
  std::vector<char*> arguments;
  for (std::string& w : words)
    arguments.push_back(w.data());
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const int out = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(out, 1);
  dup2(out, 2);
  execvp("etcd", arguments.data());
  _exit(127);
}

void EtcdServer::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(std::exchange(pid_, -1), nullptr, 0);
}

void EtcdServer::wipe() {
  std::filesystem::remove_all(data_);
}

void EtcdServer::stop() const {
  ::kill(pid_, SIGSTOP);
}

void EtcdServer::resume() const {
  ::kill(pid_, SIGCONT);
}

std::string EtcdServer::metrics() const {
  const Fd s(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{2, 0};
  setsockopt(s.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const sockaddr_in a = loopback(metrics_port_);
  if (connect(s.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) return "";
  const std::string ask = "GET /metrics HTTP/1.0\r\n\r\n";
  if (write(s.get(), ask.data(), ask.size()) < 0) return "";
  std::string all;
  char part[4096];
  for (ssize_t n = 0; (n = read(s.get(), part, sizeof part)) > 0;)
    all.append(part, static_cast<size_t>(n));
  return all;
}

bool EtcdServer::is_leader() const {
  return pid_ > 0 && metrics().find("\netcd_server_is_leader 1") != std::string::npos;
}

void EtcdServer::wait_until_ready() const {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (metrics().find("\netcd_server_has_leader 1") == std::string::npos) {
    if (std::chrono::steady_clock::now() > until || waitpid(pid_, nullptr, WNOHANG) != 0) {
      std::ifstream in(log_);
      const std::string text{std::istreambuf_iterator<char>(in), {}};
      FAIL() << "etcd does not start:\n"
             << text.substr(text.size() > 2000 ? text.size() - 2000 : 0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace penstock::test
