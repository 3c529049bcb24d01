// The conversation with the node: questions, and what comes unasked.
#include "dataplane/client/client.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <unistd.h>

#include "dataplane/base/clock.h"
#include "dataplane/client/last_error.h"
#include "dataplane/client/receiver.h"
#include "dataplane/client/sender.h"

namespace penstock::client {
namespace {

constexpr uint64_t kAnswerNs = 30'000'000'000;

}  // namespace

bool Client::mine() const {
  return getpid() == pid_;
}

void Client::let_go() {
  if (--users_ == 0) delete this;
}

// What is left open leaves in good order: nobody is to take it for a crash.
void Client::close() {
  for (const Sender* s : senders_)
    s->say_goodbye();
  for (Receiver* r : receivers_) {
    r->release();
    r->say_goodbye();
  }
  state_ = State::kClosed;
  std::snprintf(gone_, sizeof gone_, "the client was closed");
  socket_.shut();
  for (Sender* s : senders_)
    s->look_next();
  let_go();
}

void Client::remove(Sender* s) {
  std::erase(senders_, s);
}

void Client::remove(Receiver* r) {
  std::erase(receivers_, r);
}

// The socket is shut, not closed: whoever sleeps on it sees the end. A farewell explains that the
// node hung up, and nothing else.
Errc Client::lose(Errc why, const char* text) {
  if (state_ == State::kUp) {
    state_ = State::kNodeGone;
    const bool hung_up = why == Errc::kClosed && farewell_[0] != 0;
    std::snprintf(gone_, sizeof gone_, "%s", hung_up ? farewell_ : text);
    socket_.shut();
    for (Sender* s : senders_)
      s->look_next();
  }
  return fail(why, "%s", gone_);
}

Errc Client::broken(const char* what) {
  char text[128];
  std::snprintf(text, sizeof text, "the node broke the attach protocol: %s makes no sense", what);
  return lose(Errc::kVersion, text);
}

Errc Client::exchange(std::span<const std::byte> question, uint32_t request, attach::Type want,
                      Packet& answer) {
  if (state_ != State::kUp) return fail(Errc::kClosed, "%s", gone_);
  const uint64_t deadline = Clock::raw_ns() + kAnswerNs;
  socket_.send(question);
  for (;;) {
    switch (socket_.receive(answer)) {
      case ControlSocket::Got::kPacket:
        if (answer.header().request == request) {
          if (answer.header().type == attach::Type::kError) return refused(answer);
          return answer.header().type == want ? Errc::kOk : broken("an answer of another type");
        }
        if (!handle(answer)) return fail(Errc::kVersion, "%s", gone_);
        break;
      case ControlSocket::Got::kNothing:
        if (!socket_.wait_until(deadline))
          return lose(Errc::kTimeout,
                      "the node did not answer within 30 s: it hangs, or is stopped; look at its "
                      "log");
        socket_.flush();
        break;
      case ControlSocket::Got::kGone:
        return lose(Errc::kClosed, "the node went away");
      case ControlSocket::Got::kBad:
        return broken("a packet's size");
    }
  }
}

void Client::drain() {
  if (state_ != State::kUp) return;
  socket_.flush();
  Packet packet;
  for (;;) {
    switch (socket_.receive(packet)) {
      case ControlSocket::Got::kPacket:
        if (!handle(packet)) return;
        break;
      case ControlSocket::Got::kNothing:
        return;
      case ControlSocket::Got::kGone:
        lose(Errc::kClosed, "the node went away");
        return;
      case ControlSocket::Got::kBad:
        broken("a packet's size");
        return;
    }
  }
}

Errc Client::refused(const Packet& packet) {
  const auto* e = packet.as<attach::Error>();
  if (e == nullptr || e->code == 0 || std::memchr(e->text, 0, sizeof e->text) == nullptr)
    return broken("Error");
  const auto known = static_cast<uint32_t>(Errc::kSystem);
  return fail(static_cast<Errc>(std::min(e->code, known)), "%s", e->text);
}

// Something that came unasked, or an answer that nobody waits for. False: it broke the protocol,
// and the node counts as gone.
bool Client::handle(Packet& packet) {
  switch (packet.header().type) {
    case attach::Type::kReader:
      if (handle_reader(packet)) return true;
      broken("Reader");
      return false;
    case attach::Type::kReaderGone:
      if (handle_reader_gone(packet)) return true;
      broken("ReaderGone");
      return false;
    case attach::Type::kJoin:
      if (handle_join(packet)) return true;
      broken("Join");
      return false;
    case attach::Type::kLeave:
      if (handle_leave(packet)) return true;
      broken("Leave");
      return false;
    case attach::Type::kEnded:
      if (handle_ended(packet)) return true;
      broken("Ended");
      return false;
    case attach::Type::kError:
      if (handle_error(packet)) return true;
      broken("Error");
      return false;
    case attach::Type::kOk:  // to a statement
      return true;
    default:
      broken("a packet's type");
      return false;
  }
}

bool Client::handle_reader(Packet& packet) {
  const auto* r = packet.as<attach::Reader>();
  if (r == nullptr) return false;
  for (Sender* s : senders_)
    if (s->lane_id() == r->lane_id) return s->reader_came(*r, packet);
  return true;  // of a sender that was closed meanwhile
}

bool Client::handle_reader_gone(const Packet& packet) {
  const auto* r = packet.as<attach::ReaderGone>();
  if (r == nullptr) return false;
  for (Sender* s : senders_)
    if (s->lane_id() == r->lane_id) s->reader_gone(*r);
  if (r->table != 0) tables_.forget(r->table);
  return true;
}

bool Client::handle_join(Packet& packet) {
  const auto* j = packet.as<attach::Join>();
  if (j == nullptr || j->subscription == 0) return false;
  for (Receiver* r : receivers_)
    if (r->is(j->subscription)) return r->join(*j, packet);
  // Joins come before the Subscribed that names their subscription.
  for (Receiver* r : receivers_) {
    if (!r->is(0)) continue;
    r->expect(j->subscription);
    return r->join(*j, packet);
  }
  return true;  // of a receiver that was closed meanwhile
}

bool Client::handle_leave(const Packet& packet) {
  const auto* l = packet.as<attach::Leave>();
  if (l == nullptr) return false;
  for (Receiver* r : receivers_)
    if (r->is(l->subscription)) r->leave(*l);
  return true;
}

bool Client::handle_ended(const Packet& packet) {
  const auto* e = packet.as<attach::Ended>();
  if (e == nullptr || e->text[0] == 0 || std::memchr(e->text, 0, sizeof e->text) == nullptr)
    return false;
  for (Receiver* r : receivers_)
    if (r->is(e->subscription)) r->end(*e);
  return true;
}

// About no question: a lane is taken away, or the node is about to hang up.
bool Client::handle_error(const Packet& packet) {
  const auto* e = packet.as<attach::Error>();
  if (e == nullptr || std::memchr(e->text, 0, sizeof e->text) == nullptr) return false;
  if (e->header.request != 0) return true;  // to a statement
  if (e->lane == 0) std::snprintf(farewell_, sizeof farewell_, "the node said: %s", e->text);
  for (Sender* s : senders_)
    if (e->lane != 0 && static_cast<uint32_t>(s->lane_id()) == e->lane) s->taken_away(e->text);
  return true;
}

}  // namespace penstock::client
