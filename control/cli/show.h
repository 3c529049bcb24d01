// What the node answers to `penstock show`, as tables. Pure: JSON in, text out. A field that the
// node does not send is an empty cell, one of another type is a Failure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace penstock::cli {

// The identity of one reader: sent = delivered + dropped + in_flight.
struct Account {
  uint64_t sent = 0;
  uint64_t delivered = 0;
  uint64_t dropped = 0;
  uint64_t in_flight = 0;

  // What is missing (or, negative, too many) for the identity to hold.
  int64_t unaccounted() const {
    return static_cast<int64_t>(sent - delivered - dropped - in_flight);
  }
};
Account account_of(const nlohmann::json& reader);

// `what`: lanes, links, ports, clients, drops, topology or node.
std::string show(std::string_view what, const nlohmann::json& answer);

}  // namespace penstock::cli
