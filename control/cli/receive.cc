#include "control/cli/receive.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "control/cli/interrupt.h"
#include "control/cli/node.h"

namespace penstock::cli {

namespace {

constexpr int64_t kSlice = 100'000'000;  // ns between two looks at ^C

// All parts one after the other.
std::string bytes_of(const pen::Message& message) {
  if (message.parts <= 1) return std::string(message.chars());
  std::string all;
  for (uint32_t i = 0; i < message.parts; i++) {
    const auto part = message.part(i);
    all.append(reinterpret_cast<const char*>(part.data()), part.size());
  }
  return all;
}

void print(const Io& io, const pen::Message& message, const ReceiveOptions& options) {
  if (options.json) {
    io.out << json_line(message) << "\n";
  } else if (message.is_gap()) {
    const bool known = message.gap_count != PENSTOCK_GAP_UNKNOWN;
    io.err << fmt::format("missed {} messages of {} from position {}: {}\n",
                          known ? fmt::format("{}", message.gap_count) : "perhaps some",
                          message.publisher, message.position, message.gap_reason_text());
  } else if (message.parts <= 1) {
    io.out.write(message.chars().data(), static_cast<std::streamsize>(message.len));
  } else {
    io.out << bytes_of(message);
  }
  if (!options.json && !options.raw && !message.is_gap()) io.out << "\n";
}

// Receives until the options say enough.
Exit run(const Io& io, pen::Receiver& receiver, const ReceiveOptions& options) {
  const int64_t limit = options.timeout_ns ? static_cast<int64_t>(*options.timeout_ns) : INT64_MAX;
  int64_t left = limit;
  uint64_t received = 0;
  bool missed = false;
  while (!interrupted() && (options.count == 0 || received < options.count)) {
    pen::Message message{};
    pen::Code code = receiver.recv(message, 0);
    if (code == PENSTOCK_TIMEOUT) {
      // Everything that was there is out before it waits.
      io.out.flush();
      const int64_t slice = std::min(left, kSlice);
      code = receiver.recv(message, slice);
      left -= slice;
    }
    if (code == PENSTOCK_TIMEOUT) {
      if (left <= 0) return missed ? Exit::kMissed : Exit::kTimeout;
      continue;
    }
    if (code != PENSTOCK_OK) {
      io.out.flush();
      throw code == PENSTOCK_EVICTED ? set_up_failure(code, options.filter)
                                     : failure(code, options.filter);
    }
    left = limit;
    missed |= message.is_gap();
    received += message.is_gap() ? 0 : 1;
    print(io, message, options);
    if (!io.out) throw Failure(Exit::kFailed, "the output cannot be written");
  }
  io.out.flush();
  return missed ? Exit::kMissed : Exit::kOk;
}

}  // namespace

std::string json_line(const pen::Message& message) {
  using nlohmann::json;
  json line{{"position", message.position},
            {"time_ns", message.time_ns},
            {"lane", message.lane},
            {"node", message.origin_node},
            {"publisher", message.publisher}};
  if (message.is_gap()) {
    json count = message.gap_count;
    if (message.gap_count == PENSTOCK_GAP_UNKNOWN) count = nullptr;
    line["gap"] = {{"count", count}, {"reason", message.gap_reason_text()}};
    return line.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  line["topic"] = message.topic_name();
  if (message.key != 0) line["key"] = message.key;
  const std::string bytes = bytes_of(message);
  line["bytes"] = bytes.size();
  line["data"] = bytes;
  try {
    return line.dump();
  } catch (const json::type_error&) {  // not UTF-8
    line.erase("data");
    line["hex"] =
        fmt::format("{:02x}", fmt::join(std::vector<uint8_t>(bytes.begin(), bytes.end()), ""));
    return line.dump(-1, ' ', false, json::error_handler_t::replace);
  }
}

Exit receive(const Io& io, const ReceiveOptions& options) {
  pen::Client client = attach(options.socket, options.pull ? "penstock pull" : "penstock sub");
  const char* filter = options.filter.c_str();
  if (options.pull) {
    auto puller = client.puller(filter);
    if (!puller) throw set_up_failure(puller.code(), options.filter);
    return run(io, *puller, options);
  }
  auto subscriber = client.subscriber(filter, options.subscriber);
  if (!subscriber) throw set_up_failure(subscriber.code(), options.filter);
  return run(io, *subscriber, options);
}

}  // namespace penstock::cli
