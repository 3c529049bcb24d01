// The node's tables are rows of control.proto: no field is missing on either side, and every value
// comes through.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>

#include "control/api/control.pb.h"
#include "control/api/proto_json.h"
#include "tests/control/node/node_rig.h"

namespace penstock {
namespace {

using nlohmann::json;

// Fails unless `table` is the message's JSON, field for field.
template <class M>
void expect_same(const json& table) {
  M message;
  const auto wrong = from_json(table.dump(), message, true);
  ASSERT_FALSE(wrong) << *wrong << "\n" << table.dump(2);
  EXPECT_EQ(json::parse(to_json(message)), table);
}

// Two nodes with a broadcast and a group between them, so that every kind of row is there.
class Tables : public ::testing::Test {
 protected:
  Tables() {
    wait_up(nodes);
    publisher = attach_to(nodes, 0, "publisher");
    here = attach_to(nodes, 0, "here");
    there = attach_to(nodes, 1, "there");
    sub_there = std::move(*there.subscriber("grad.#"));
    pull_there = std::move(*there.puller("jobs"));
    sub_here = std::move(
        *here.subscriber("grad.w", {.policy = PENSTOCK_DROP_OLDEST, .limit_messages = 9}));
    pull_here = std::move(*here.puller("jobs"));
    sender = std::move(*publisher.publisher());
    pusher = std::move(*publisher.pusher());
    send_all(sender, *sender.topic("grad.w"), 10);
    (void)sender.topic("alone");
    send_all(pusher, *pusher.topic("jobs"), 10);
    expect_all(sub_there, 10);
  }

  json show(int side, const char* question) { return json::parse(nodes.show(side, question)); }
  json topics(const char* filter, size_t limit = 100) {
    std::string answer;
    nodes.between_turns([&] { answer = nodes.node(0).show_topics(filter, limit); });
    return json::parse(answer);
  }
  json subscriptions(const char* topic, size_t limit = 100) {
    std::string answer;
    nodes.between_turns([&] { answer = nodes.node(0).show_subscriptions(topic, limit); });
    return json::parse(answer);
  }

  TwoNodes nodes;
  pen::Client publisher, here, there;
  pen::Subscriber sub_there, sub_here;
  pen::Puller pull_there, pull_here;
  pen::Publisher sender;
  pen::Pusher pusher;
};

TEST_F(Tables, AreTheMessagesOfControlProto) {
  std::set<std::string> kinds;
  for (int side = 0; side < 2; side++) {
    const json lanes = show(side, "lanes");
    for (const json& lane : lanes) {
      kinds.insert(lane["kind"]);
      for (const json& reader : lane["readers"])
        kinds.insert("read by " + reader["kind"].get<std::string>());
    }
    expect_same<api::v1::Lanes>({{"lanes", lanes}});
    expect_same<api::v1::Links>({{"links", show(side, "links")}});
    expect_same<api::v1::Ports>({{"ports", show(side, "ports")}});
    expect_same<api::v1::Clients>({{"clients", show(side, "clients")}});
    expect_same<api::v1::Drops>({{"dropped", show(side, "drops")}});
    expect_same<api::v1::Node>(show(side, "node"));
  }
  EXPECT_EQ(kinds, (std::set<std::string>{"lane", "mirror", "inbox", "read by client",
                                          "read by link", "read by group"}));
  expect_same<api::v1::Topics>(topics(""));
  expect_same<api::v1::Subscriptions>(subscriptions(""));
}

TEST_F(Tables, TellWhoHasATopicAndWhoWantsIt) {
  const json all = topics("")["topics"];
  ASSERT_EQ(all.size(), 3u) << all.dump(2);
  EXPECT_EQ(all[0]["topic"], "alone");
  EXPECT_EQ(all[0]["subscriptions"], 0);
  EXPECT_EQ(all[0]["nodes"], 0);
  EXPECT_EQ(all[1]["topic"], "grad.w");
  EXPECT_EQ(all[1]["publishers"], json::array({"publisher"}));
  EXPECT_EQ(all[1]["subscriptions"], 1);
  EXPECT_EQ(all[1]["groups"], 0);
  EXPECT_EQ(all[1]["nodes"], 1);
  EXPECT_EQ(all[2]["topic"], "jobs");
  EXPECT_EQ(all[2]["subscriptions"], 0);
  EXPECT_EQ(all[2]["groups"], 1);
  EXPECT_EQ(all[2]["nodes"], 1);
  EXPECT_EQ(topics("grad.*")["topics"], json::array({all[1]}));
  EXPECT_EQ(topics("", 2), json({{"topics", {all[0], all[1]}}, {"more", true}}));
  EXPECT_FALSE(topics("", 3)["more"]);
}

TEST_F(Tables, TellWhoWouldGetATopic) {
  const json all = subscriptions("grad.w")["subscriptions"];
  ASSERT_EQ(all.size(), 2u) << all.dump(2);
  EXPECT_EQ(all[0]["from"], "client");
  EXPECT_EQ(all[0]["name"], "here");
  EXPECT_EQ(all[0]["policy"], "drop_oldest");
  EXPECT_EQ(all[0]["limit_messages"], 9);
  EXPECT_EQ(all[1]["from"], "node");
  EXPECT_EQ(all[1]["name"], "b");
  EXPECT_EQ(all[1]["filter"], "grad.#");
  EXPECT_EQ(subscriptions("")["subscriptions"].size(), 4u);
  EXPECT_EQ(subscriptions("", 1)["subscriptions"].size(), 1u);
  EXPECT_TRUE(subscriptions("", 1)["more"]);
  EXPECT_FALSE(subscriptions("", 4)["more"]);
  EXPECT_EQ(subscriptions("nobody")["subscriptions"].size(), 0u);
}

TEST(ProtoJson, PassesOverFieldsThatItDoesNotKnow) {
  api::v1::Drops drops;
  EXPECT_FALSE(from_json(R"({"dropped":{"overrun":18446744073709551615},"of_later":[1]})", drops));
  EXPECT_EQ(drops.dropped().at("overrun"), UINT64_MAX);
  EXPECT_TRUE(from_json(R"({"of_later":[1]})", drops, true));
  EXPECT_TRUE(from_json(R"({"dropped":)", drops));
}

TEST(ProtoJson, KnowsEveryKindOfFieldInTheFile) {
  using google::protobuf::FieldDescriptor;
  const auto* file = api::v1::Node::descriptor()->file();
  for (int m = 0; m < file->message_type_count(); m++) {
    for (int f = 0; f < file->message_type(m)->field_count(); f++) {
      const FieldDescriptor* field = file->message_type(m)->field(f);
      const auto type = field->cpp_type();
      EXPECT_TRUE(
          type == FieldDescriptor::CPPTYPE_UINT64 || type == FieldDescriptor::CPPTYPE_UINT32 ||
          type == FieldDescriptor::CPPTYPE_BOOL || type == FieldDescriptor::CPPTYPE_STRING ||
          type == FieldDescriptor::CPPTYPE_MESSAGE)
          << field->full_name();
    }
  }
}

}  // namespace
}  // namespace penstock
