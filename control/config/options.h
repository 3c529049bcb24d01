// The table of options: one row each, from which the parser, the checks, `penstockd --help`, the
// example file and OPTIONS.md are made.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "control/config/config.h"

namespace penstock {

// How a value is written in the file.
enum class Kind : uint8_t {
  kInteger,     // 42
  kSize,        // "4MiB", or a number of bytes
  kDuration,    // "25us"
  kText,        // any string without control characters
  kName,        // letters, digits, '_', '.', '-'
  kPath,        // absolute
  kOctal,       // "0660"
  kChoice,      // one of the row's choices
  kChoices,     // ["publish", "subscribe"]: some of them
  kCpus,        // "2-5,8"
  kDevice,      // "vhost:/run/penstock/a.sock"
  kPrefix,      // "10.1.0.1/24"
  kAddress,     // "10.1.0.1"
  kMac,         // "02:00:00:00:00:01"
  kNeighbours,  // ["10.1.0.2=02:00:00:00:00:02"]
};

enum class Applies : uint8_t { kRestart, kLive };  // a change needs a restart, or a SIGHUP

// Where a value goes.
using Slot = std::variant<uint64_t*, uint32_t*, uint16_t*, std::optional<uint16_t>*, std::string*,
                          IdleMode*, HugePages*, StoreKind*, LogLevel*, LogFormat*,
                          std::vector<uint32_t>*, IpPrefix*, IpAddress*, std::optional<IpAddress>*,
                          std::optional<MacAddress>*, std::vector<Neighbour>*, Allowed*>;

// What a row's slot is taken from: `port`, `peer` and `rule` are set while one of theirs is read.
struct Target {
  Config* config = nullptr;
  PortOptions* port = nullptr;
  PeerOptions* peer = nullptr;
  Rule* rule = nullptr;
};

struct Option {
  std::string_view key;  // "lane.ring"; what stands before the dot is the table in the file
  Kind kind;
  std::string_view fallback;  // as in the file, without quotes; empty: none
  uint64_t min;
  uint64_t max;              // both 0: no bounds. Bytes of a text, value of a number
  std::string_view choices;  // "spin|adaptive"
  Applies applies;
  std::string_view text;
  Slot (*slot)(Target);
  bool required = false;
  bool power_of_two = false;
  std::string_view sample = "";  // as in the file, where there is no default to show

  std::string_view table() const { return key.substr(0, key.find('.')); }
  std::string_view name() const { return key.substr(key.find('.') + 1); }
};

// A table of the file.
struct Section {
  std::string_view name;
  bool many;  // [[name]], any number of times
  std::string_view text;
};

// A kind of device that a port can stand on.
struct DeviceKind {
  std::string_view name;
  std::string_view rest;  // what follows the colon
  std::string_view text;
};

std::span<const Option> options();
std::span<const Section> sections();
std::span<const DeviceKind> device_kinds();

}  // namespace penstock
