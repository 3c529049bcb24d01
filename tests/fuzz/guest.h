// Guest: a client of a node as fuzzers and tests play it, packet by packet. It remembers what the
// node told it, so that what it says next is about things that exist, and lies as its input wants.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "control/node/node.h"
#include "tests/fuzz/input.h"

namespace penstock::test {

class Guest {
 public:
  bool attached() const { return static_cast<bool>(socket_); }
  void attach(Node& node, uint64_t now) {
    leave();
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    socket_ = Fd(ends[0]);
    node.add_client(
        std::make_unique<Session>(Fd(ends[1]), PeerCredentials{getpid(), getuid(), getgid()}), now);
  }
  // The same over the socket of a node that runs.
  void attach(const std::string& path) {
    leave();
    socket_ = Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::memcpy(a.sun_path, path.data(), path.size());
    must(connect(socket_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
  }
  void leave() { *this = Guest(); }

  // A packet as it is, with descriptors that nobody asked for.
  void send(std::span<const std::byte> bytes, size_t descriptors = 0) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostDescriptors * sizeof(int))> control{};
    iovec io{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr m{};
    m.msg_iov = &io;
    m.msg_iovlen = 1;
    if (descriptors != 0) {
      m.msg_control = control.data();
      m.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
      cmsghdr* c = CMSG_FIRSTHDR(&m);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
      for (size_t i = 0; i < descriptors; i++) {
        const int own = socket_.get();
        std::memcpy(CMSG_DATA(c) + i * sizeof own, &own, sizeof own);
      }
    }
    (void)sendmsg(socket_.get(), &m, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  // Cut short, longer, or with a few bytes changed, if the input says so.
  template <class T>
  void say(T packet, Input& i) {
    packet.header.request = ++requests_;
    std::vector<std::byte> bytes(sizeof packet);
    std::memcpy(bytes.data(), &packet, sizeof packet);
    const uint8_t how = i.byte();
    for (int n = how >> 6; n > 0; n--)
      bytes[i.near(8) % bytes.size()] = std::byte{i.byte()};
    if (how % 64 == 1) bytes.resize(i.near(bytes.size()) % attach::kMaxPacket);
    send(bytes, how % 64 == 2 ? i.byte() % kMostDescriptors : 0);
  }
  // The same without a lie. Returns the number that the answer will repeat.
  template <class T>
  uint32_t say(T packet) {
    packet.header.request = ++requests_;
    send(std::as_bytes(std::span(&packet, 1)));
    return requests_;
  }

  // The next packet that the node has said, with its descriptors. False: nothing more.
  struct Heard {
    alignas(8) std::array<std::byte, attach::kMaxPacket> bytes;
    size_t len = 0;
    std::vector<Fd> fds;

    const attach::Header& header() const {
      return *reinterpret_cast<const attach::Header*>(bytes.data());
    }
    // The packet as a T, or null when it is none.
    template <class T>
    const T* as() const {
      return len == sizeof(T) && header().type == T{}.header.type
                 ? reinterpret_cast<const T*>(bytes.data())
                 : nullptr;
    }
  };
  bool receive(Heard& heard) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(attach::kMaxDescriptors * sizeof(int))> control;
    iovec io{heard.bytes.data(), heard.bytes.size()};
    msghdr m{};
    m.msg_iov = &io;
    m.msg_iovlen = 1;
    m.msg_control = control.data();
    m.msg_controllen = control.size();
    const ssize_t n = recvmsg(socket_.get(), &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n <= 0) return false;
    heard.len = static_cast<size_t>(n);
    heard.fds.clear();
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
      for (size_t at = CMSG_LEN(0); at < c->cmsg_len; at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, reinterpret_cast<std::byte*>(c) + at, sizeof fd);
        heard.fds.emplace_back(fd);
      }
    }
    return true;
  }

  // Learns from what the node has said. False: nothing more.
  bool hear() {
    Heard heard;
    if (!receive(heard)) return false;
    learn(heard);
    return true;
  }

  struct Lane {
    uint64_t id;
    LaneGeometry geometry;
    Mapping memory;
  };
  std::vector<Lane> lanes;
  std::vector<uint64_t> subscriptions;
  std::vector<attach::Join> joins;
  std::vector<attach::Leave> leaves;
  std::vector<attach::Error> errors;
  std::vector<attach::Ended> ended;
  Mapping positions;
  Mapping bells;

 private:
  static constexpr size_t kMostDescriptors = 64;

  void learn(const Heard& heard) {
    const auto map = [&](size_t i, uint64_t size, Mapping& to) {
      if (auto m = Mapping::open(heard.fds.at(i).get(), size, Access::kReadWrite); m.ok())
        to = std::move(*m);
    };
    if (heard.as<attach::Welcome>() != nullptr) {
      map(0, sizeof(PositionTable), positions);
      map(1, sizeof(BellPage), bells);
    } else if (const auto* d = heard.as<attach::Declared>()) {
      lanes.push_back({d->lane_id, d->geometry, {}});
      map(0, d->geometry.total_bytes(), lanes.back().memory);
    } else if (const auto* s = heard.as<attach::Subscribed>()) {
      subscriptions.push_back(s->subscription);
    } else if (const auto* j = heard.as<attach::Join>()) {
      joins.push_back(*j);
    } else if (const auto* l = heard.as<attach::Leave>()) {
      leaves.push_back(*l);
    } else if (const auto* e = heard.as<attach::Error>()) {
      errors.push_back(*e);
    } else if (const auto* over = heard.as<attach::Ended>()) {
      ended.push_back(*over);
    }
  }

  Fd socket_;
  uint32_t requests_ = 0;
};

}  // namespace penstock::test
