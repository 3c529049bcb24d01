// The closed set of codes that a call can answer, on the control path and (the first few) on a
// send. The public C codes of penstock.h are these numbers.
#pragma once

#include <cassert>
#include <cstdint>
#include <utility>
#include <variant>

namespace penstock {

enum class Errc : uint8_t {
  kOk = 0,
  kWouldBlock = 1,  // full for now: a reader is behind; nothing was sent
  kNoRoute = 2,     // nobody takes it: no member in the group, no such peer
  kTooBig = 3,      // larger than the lane's arena
  kBadTopic = 4,    // not a valid topic or filter
  kClosed = 5,      // the other side closed, or the node went away
  kInvalid = 6,     // an argument makes no sense
  kNoMemory = 7,
  kNoDevice = 8,  // this node has no RDMA device
  kBusy = 9,      // in use by somebody else
  kTimeout = 10,
  kDenied = 11,   // not permitted
  kVersion = 12,  // the other side speaks another version
  kEvicted = 13,  // the subscription was ended by the node
  kFull = 14,     // a table of fixed size has no room
  kNotFound = 15,
  kSystem = 16,  // the kernel refused; errno says why
};

// The text of a code, never null.
constexpr const char* text(Errc e) {
  constexpr const char* kText[] = {
      "ok",        "would block",       "no route",         "message too big", "bad topic",
      "closed",    "invalid argument",  "out of memory",    "no such device",  "busy",
      "timed out", "permission denied", "version mismatch", "reader evicted",  "table full",
      "not found", "system error"};
  const auto i = static_cast<unsigned>(e);
  return i < sizeof kText / sizeof *kText ? kText[i] : "unknown error";
}

// A T, or the reason why there is none. A function that opens, parses or allocates returns
// one; the caller looks at ok() before it touches the value.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::move(value)) {}                 // NOLINT(google-explicit-constructor)
  Result(Errc why) : v_(why) { assert(why != Errc::kOk); }  // NOLINT(google-explicit-constructor)

  bool ok() const { return v_.index() == 0; }
  Errc error() const { return ok() ? Errc::kOk : std::get<1>(v_); }
  T& operator*() & { return std::get<0>(v_); }
  const T& operator*() const& { return std::get<0>(v_); }
  T&& operator*() && { return std::move(std::get<0>(v_)); }
  T* operator->() { return &std::get<0>(v_); }
  const T* operator->() const { return &std::get<0>(v_); }

 private:
  std::variant<T, Errc> v_;
};

}  // namespace penstock
