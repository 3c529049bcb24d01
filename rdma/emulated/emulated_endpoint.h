// EmulatedEndpoint: a queue pair made of numbered packets, which are sent again until they are
// acknowledged. Worker; control where fabric.h says so.
//
//   out   requests ──▶ packets una_ .. next_packet_ ──▶ frames        memory is read when a frame
//   is
//                        ▲ acknowledged, or late: sent again          made, also when made again
//   in    frames ──▶ bytes to their place at once, in any order
//                └─▶ immediate, get, refusal: when all packets before it have come (rx_next_)
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "rdma/emulated/emulated_fabric.h"
#include "rdma/emulated/frame.h"

namespace penstock {

class EmulatedEndpoint final : public Endpoint {
 public:
  // Gets of one side that were not answered yet. Both sides keep to it, so the other one has room.
  static constexpr uint32_t kGets = 16;

  EmulatedEndpoint(EmulatedFabric& fabric, uint32_t number, uint32_t nonce);
  ~EmulatedEndpoint() override;

  uint32_t number() const override { return number_; }
  EndpointAddress address() const override;
  Errc connect(const EndpointAddress& peer) override;
  State state() const override { return static_cast<State>(state_.load()); }
  void stop() override;
  size_t post(std::span<const FabricRequest> in) override;

 private:
  friend class EmulatedFabric;

  struct Slot {
    FabricRequest request;
    FabricCode code = FabricCode::kOk;
    uint64_t last_packet = 0;  // 0: not all of it was sent once
    uint32_t got = 0;
    std::array<std::byte, EmulatedFabric::kMostInline> inlined;
  };
  // A packet on its way, or the next piece of an answer.
  struct Packet {
    EmulatedType type = EmulatedType::kAck;
    bool acked = false;
    uint32_t tries = 0;
    uint64_t sent_at = 0;
    uint64_t request = 0;  // PUT, GET, FLUSH: which of ours
    uint32_t at = 0;       // PUT, PIECE
    uint32_t len = 0;
    uint64_t address = 0;  // PIECE: of what the peer wants
    uint32_t key = 0;
    uint32_t bytes = 0;
    uint32_t theirs = 0;  // PIECE: the peer's request, and the packet that brought it
    uint64_t asked_by = 0;
  };
  // What waits for the packets before it.
  struct Arrived {
    enum class Then : uint8_t { kNothing, kImmediate, kAnswer, kRefuse };
    bool here = false;
    Then then = Then::kNothing;
    FabricCode code = FabricCode::kOk;
    uint64_t address = 0;
    uint32_t key = 0;
    uint32_t bytes = 0;
    uint32_t word = 0;  // the immediate, or the peer's request
  };

  Slot& slot(uint64_t n) { return slots_[n % slots_.size()]; }
  Packet& packet(uint64_t n) { return packets_[n % kEmulatedWindow]; }
  Arrived& arrived(uint64_t n) { return arrived_[n % kEmulatedWindow]; }

  // Sending (emulated_endpoint.cc).
  void turn(uint64_t now);
  bool idle() const { return una_ == next_packet_ && finished_ == posted_ && answers_ == 0; }
  void send_late(uint64_t now);
  void send_new(uint64_t now);
  bool next_answer(Packet& p);
  bool next_request(Packet& p);
  void began(const Packet& p);
  bool send(uint64_t number, uint64_t now);
  bool fill(const Packet& p, EmulatedFrame& f, std::byte* payload);
  bool send_frame(EmulatedFrame& f, std::byte* data);
  void send_bare(EmulatedType type);
  void finish();
  void fail(FabricCode code);
  size_t tell(std::span<FabricCompletion> out);

  // Receiving (emulated_receive.cc).
  void take(const EmulatedFrame& f, uint64_t now);
  bool take_ack(uint64_t ack, uint64_t sack, uint64_t now);
  void acked(uint64_t number, uint64_t now);
  void measure(uint64_t ns);
  void take_packet(const EmulatedFrame& f, uint64_t now);
  void take_put(const EmulatedFrame& f, Arrived& a);
  void take_piece(const EmulatedFrame& f, uint64_t now);
  void advance();
  void refuse(uint64_t number, FabricCode code);
  uint64_t sack() const;

  EmulatedFabric& fabric_;
  uint32_t number_;
  uint32_t nonce_;
  // Written by control, before it is ready.
  uint32_t peer_number_ = 0;
  uint32_t peer_nonce_ = 0;
  uint32_t route_ = 0;
  bool connected_ = false;
  SharedWord state_;
  // Written by the worker.
  std::vector<Slot> slots_;
  uint64_t posted_ = 0;
  uint64_t sending_ = 0;  // the first request that was not sent as a whole
  uint32_t sent_of_it_ = 0;
  uint64_t finished_ = 0;
  uint64_t told_ = 0;
  FabricCode bad_ = FabricCode::kOk;  // the request at sending_ cannot be sent: its code
  uint32_t gets_out_ = 0;
  std::array<Packet, kEmulatedWindow> packets_;
  uint64_t una_ = 1;
  uint64_t next_packet_ = 1;
  uint64_t on_their_way_ = 0;  // not acknowledged
  uint64_t pieces_out_ = 0;    // of these, PIECEs
  uint64_t highest_acked_ = 0;
  uint64_t progress_at_ = 0;
  uint64_t last_turn_ = 0;
  uint64_t srtt_ = 0;
  uint64_t rttvar_ = 0;
  double window_ = 16;                // packets that may be on their way
  uint64_t halved_before_ = 0;        // losses of packets before it belong to one congestion
  std::array<Packet, kGets> answer_;  // a queue; `at` moves on
  uint32_t answer_first_ = 0;
  uint32_t answers_ = 0;
  std::array<Arrived, kEmulatedWindow> arrived_;
  uint64_t rx_next_ = 1;
  bool ack_owed_ = false;
  uint64_t refused_ = 0;  // the peer's packet that ended it
  FabricCode refused_code_ = FabricCode::kOk;
  bool refusal_owed_ = false;
};

}  // namespace penstock
