#include "control/cli/send.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include "control/cli/interrupt.h"
#include "control/cli/node.h"

namespace penstock::cli {

namespace {

constexpr uint64_t kLeastArena = 4 << 20;
constexpr int64_t kSlice = 100'000'000;  // ns between two looks at ^C

std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string all = in ? read_all(in) : "";
  if (!in) {
    const std::error_code why(errno, std::generic_category());
    throw Failure(Exit::kFailed, fmt::format("{}: {}", path, why.message()));
  }
  return all;
}

// Sends, waiting as long as the options allow. False: interrupted before there was room.
bool send_one(pen::Sender& sender, uint32_t topic, const std::string& message,
              const SendOptions& options) {
  int64_t left = options.timeout_ns ? static_cast<int64_t>(*options.timeout_ns) : INT64_MAX;
  while (!interrupted()) {
    const int64_t slice = std::min(left, kSlice);
    const pen::Code code = sender.send_wait(topic, message, slice, options.key);
    if (code == PENSTOCK_OK) return true;
    const bool again = code == PENSTOCK_WOULD_BLOCK || code == PENSTOCK_NO_ROUTE;
    left -= slice;
    if (!again || left <= 0) throw failure(code, options.topic);
  }
  return false;
}

template <class Make>
pen::Sender open_sender(Make make, const char* what) {
  auto sender = make();
  if (!sender) throw set_up_failure(sender.code(), what);
  return std::move(*sender);
}

}  // namespace

Exit send(const Io& io, const SendOptions& options) {
  const bool whole = options.whole || !options.file.empty();
  std::string message;
  if (!options.file.empty()) {
    message = read_file(options.file);
  } else if (whole) {
    message = read_all(io.in);
  }

  pen::Client client = attach(options.socket, options.push ? "penstock push" : "penstock pub");
  // A message is contiguous in its arena, so the arena is as large as the message.
  const pen::SenderOptions lane{
      .arena_bytes = message.size() > kLeastArena ? std::bit_ceil(message.size()) : 0,
      .timestamps = true};
  pen::Sender sender = options.push
                           ? open_sender([&] { return client.pusher(lane); }, "penstock push")
                           : open_sender([&] { return client.publisher(lane); }, "penstock pub");
  const auto topic = sender.topic(options.topic);
  if (!topic) throw set_up_failure(topic.code(), options.topic);

  if (whole) {
    send_one(sender, *topic, message, options);
  } else {
    for (uint64_t n = 0; options.count == 0 || n < options.count; n++) {
      if (interrupted() || !std::getline(io.in, message)) break;
      if (!send_one(sender, *topic, message, options)) break;
    }
  }
  if (options.json) {
    const pen::SenderStats stats = sender.stats();
    io.out << nlohmann::json{{"sent", stats.sent}, {"bytes", stats.bytes}} << "\n";
  }
  return Exit::kOk;
}

}  // namespace penstock::cli
