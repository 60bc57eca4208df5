use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pipewatch::domain::alert::{Matcher, Silence, Verdict};
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::labels::Label;
use pipewatch::notify::Channel;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::notifier::{BAD, LEASE, NotifierFixture};
use crate::support::receivers::{MailServer, Received, Receiver, Reply};
use crate::support::{Database, eventually, in_time};

on_both_databases! {
    transitions_are_grouped_repeated_and_resolved,
    acknowledged_and_silenced_alerts_send_only_their_resolution,
    failed_deliveries_are_retried_in_order_and_signed,
    hanging_receiver_delays_no_other_channel,
    restarts_of_receiver_and_server_lose_nothing,
    two_servers_notify_once_and_lose_nothing,
    each_address_receives_a_separate_email,
    new_channel_receives_only_new_alerts,
    undeliverable_notifications_are_abandoned_and_deleted,
    delivery_loop_runs_until_stopped,
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// How long a notification waits for further transitions.
const WAIT: TimeDelta = TimeDelta::seconds(30);

fn webhook(receiver: &Receiver) -> Channel {
    Channel::webhook(&receiver.url(), Some(SECRET.parse().expect("a secret"))).expect("a URL")
}

/// The notifications since the last call, each as `fired a, fired b`.
fn transitions(receiver: &Receiver) -> Vec<String> {
    receiver.take_received().iter().map(said).collect()
}

fn said(taken: &Received) -> String {
    let body: Value = serde_json::from_str(&taken.body).expect("JSON");
    let lines = body["data"]["alerts"].as_array().expect("alerts");
    let line = |line: &Value| format!("{} {}", line["event"], line["source"]).replace('"', "");
    lines.iter().map(line).collect::<Vec<_>>().join(", ")
}

/// Verifies a signature as a receiver does, without code of the server.
fn verify(taken: &Received) {
    let header = |name: &str| taken.headers[name].to_str().expect("text");
    let key = BASE64_STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("base64");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("a key");
    mac.update(format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), taken.body).as_bytes());
    let signature = header("webhook-signature").strip_prefix("v1,").expect("a version");
    mac.verify_slice(&BASE64_STANDARD.decode(signature).expect("base64")).expect("signed by the secret");
}

async fn transitions_are_grouped_repeated_and_resolved(database: Database) {
    let receiver = Receiver::start().await;
    let slack = Receiver::start().await;
    let notifier =
        NotifierFixture::start(&database, [webhook(&receiver), Channel::slack(&slack.url()).expect("a URL")]).await;
    notifier.evaluate(&[("a", BAD), ("b", Verdict::OK)]).await;
    notifier.evaluate(&[("a", BAD), ("b", BAD)]).await;
    notifier.run().await;
    assert_eq!(transitions(&receiver), [""; 0], "it waits for further transitions");
    notifier.evaluate(&[("a", BAD), ("b", BAD)]).await;
    notifier.run().await;
    assert_eq!(transitions(&receiver), ["fired a, fired b"]);
    let posted: Value = serde_json::from_str(&slack.take_received()[0].body).expect("JSON");
    assert_eq!((&posted["text"], &posted["attachments"][1]["color"]), (&"default: 2 firing".into(), &"#ecb22e".into()));
    notifier.run_after(TimeDelta::minutes(239)).await;
    assert_eq!(transitions(&receiver), [""; 0]);
    notifier.run_after(TimeDelta::minutes(1)).await;
    notifier.run().await;
    assert_eq!(transitions(&receiver), ["repeated a, repeated b"]);
    notifier.evaluate(&[("a", Verdict::OK), ("b", Verdict::OK)]).await;
    notifier.run_after(WAIT).await;
    assert_eq!(transitions(&receiver), ["resolved a, resolved b"]);
    notifier.run_after(TimeDelta::hours(5)).await;
    assert_eq!(transitions(&receiver), [""; 0]);
}

async fn acknowledged_and_silenced_alerts_send_only_their_resolution(database: Database) {
    let receiver = Receiver::start().await;
    let notifier = NotifierFixture::start(&database, [webhook(&receiver)]).await;
    let labelled = "INSERT INTO sources (pipeline, \"key\", enabled, labels) \
        VALUES ('default', 'b', true, '{\"team\":\"maps\"}')";
    database.execute(labelled).await;
    let label = Some(Label { name: "team".into(), value: "maps".into() });
    let new_silence = |span: TimeDelta, matcher: Matcher| {
        let now = notifier.now();
        Silence::new(Uuid::new_v4(), matcher, (now, now + span), "Ada", "moving").expect("a silence")
    };
    let silence = new_silence(TimeDelta::hours(1), Matcher { label, ..Matcher::default() });
    notifier.store.silence_alerts(&silence).await.expect("silenced");
    notifier.fire(&["a", "b"]).await;
    notifier.run_after(WAIT).await;
    assert_eq!(transitions(&receiver), ["fired a"]);
    let alert = notifier.alert_of("a").await;
    notifier.store.acknowledge_alert(alert, "Ada".into(), None).await.expect("found").expect("firing");
    notifier.run_after(WAIT).await;
    assert_eq!(transitions(&receiver), ["acknowledged a"]);
    notifier.run_after(TimeDelta::hours(1)).await;
    assert_eq!(transitions(&receiver), ["fired b"], "the alert still fires when its silence expires");
    notifier.run_after(TimeDelta::hours(4)).await;
    assert_eq!(transitions(&receiver), ["repeated b"], "acknowledged alerts are not repeated");
    let pipeline = Some(PipelineKey::default());
    let silence = new_silence(TimeDelta::hours(1), Matcher { pipeline, ..Matcher::default() });
    notifier.store.silence_alerts(&silence).await.expect("silenced");
    notifier.evaluate(&[("a", Verdict::OK), ("b", Verdict::OK), ("c", BAD)]).await;
    notifier.evaluate(&[("c", BAD)]).await;
    notifier.run_after(WAIT).await;
    assert_eq!(
        transitions(&receiver),
        ["resolved a, resolved b"],
        "every channel that received an alert receives its resolution"
    );
    notifier.evaluate(&[("c", Verdict::OK)]).await;
    notifier.run_after(TimeDelta::hours(2)).await;
    assert_eq!(transitions(&receiver), [""; 0], "no channel was notified of c");
}

async fn failed_deliveries_are_retried_in_order_and_signed(database: Database) {
    let receiver = Receiver::start().await;
    let notifier = NotifierFixture::start(&database, [webhook(&receiver)]).await;
    notifier.fire(&["a"]).await;
    receiver.replies(&[Reply::Status(500)]);
    notifier.run_after(WAIT).await;
    let failed = receiver.take_received();
    assert_eq!(failed.iter().map(said).collect::<Vec<_>>(), ["fired a"]);
    notifier.run().await;
    assert_eq!(transitions(&receiver), [""; 0], "the failing receiver is not retried immediately");
    notifier.evaluate(&[("a", Verdict::OK)]).await;
    notifier.advance(WAIT);
    receiver.replies(&[Reply::Status(302)]);
    notifier.run().await;
    assert_eq!(transitions(&receiver), ["fired a"], "the end of it waits for its beginning");
    notifier.run_after(TimeDelta::seconds(10)).await;
    let taken = receiver.take_received();
    assert_eq!(taken.iter().map(said).collect::<Vec<_>>(), ["fired a", "resolved a"]);
    for taken in failed.iter().chain(&taken) {
        verify(taken);
    }
    assert_eq!(failed[0].headers["webhook-id"], taken[0].headers["webhook-id"], "a receiver knows it again");
    assert_ne!(failed[0].headers["webhook-timestamp"], taken[0].headers["webhook-timestamp"]);
    assert_ne!(taken[0].headers["webhook-id"], taken[1].headers["webhook-id"]);
}

async fn hanging_receiver_delays_no_other_channel(database: Database) {
    let (hanging, good) = (Receiver::start().await, Receiver::start().await);
    let channels = [webhook(&hanging), Channel::slack(&good.url()).expect("a URL")];
    let notifier = NotifierFixture::start(&database, channels).await;
    hanging.replies(&[Reply::Hang]);
    notifier.fire(&["a"]).await;
    notifier.advance(WAIT);
    let lease = notifier.lease().await;
    let (run, ()) = tokio::join!(notifier.notifier.run_once(&lease), async {
        eventually("the other channel is notified meanwhile", async || good.take_received().pop()).await;
    });
    run.expect("a database");
    assert_eq!(transitions(&hanging), ["fired a"]);
    notifier.advance(TimeDelta::minutes(5));
    assert_eq!(notifier.stuck().await, 1);
    notifier.run().await;
    assert_eq!((transitions(&hanging), notifier.stuck().await), (vec!["fired a".to_owned()], 0));
    assert!(good.take_received().is_empty(), "the working receiver already has it");
}

async fn restarts_of_receiver_and_server_lose_nothing(database: Database) {
    let receiver = Receiver::start().await;
    let ahead = Arc::default();
    let notifier = NotifierFixture::start_as("a", &database, &ahead, [webhook(&receiver)]).await;
    notifier.fire(&["a"]).await;
    notifier.run_after(WAIT).await;
    assert_eq!(transitions(&receiver), ["fired a"]);
    let channel = webhook(&receiver);
    let address = receiver.stop().await;
    notifier.evaluate(&[("a", Verdict::OK)]).await;
    notifier.run_after(WAIT).await;
    notifier.run_after(TimeDelta::seconds(10)).await;
    // The receiver dies without closing its connections.
    drop(notifier);
    let receiver = Receiver::start_at(address).await;
    let notifier = NotifierFixture::start_as("a", &database, &ahead, [channel]).await;
    notifier.run_after(TimeDelta::minutes(15)).await;
    assert_eq!(transitions(&receiver), ["resolved a"]);
    notifier.run_after(TimeDelta::minutes(15)).await;
    assert_eq!(transitions(&receiver), [""; 0]);
}

async fn two_servers_notify_once_and_lose_nothing(database: Database) {
    let receiver = Receiver::start().await;
    let ahead = Arc::default();
    let a = NotifierFixture::start_as("a", &database, &ahead, [webhook(&receiver)]).await;
    let b = NotifierFixture::start_as("b", &database, &ahead, [webhook(&receiver)]).await;
    a.fire(&["a"]).await;
    a.advance(WAIT);
    let of_a = a.lease().await;
    assert_eq!(b.store.take_lease(LEASE, "b").await.expect("a database"), None, "another server holds the lease");
    // Two concurrent runs in one lease term: a delivery in progress is not started again.
    let (first, second) = tokio::join!(a.notifier.run_once(&of_a), a.notifier.run_once(&of_a));
    first.and(second).expect("a database");
    assert_eq!(transitions(&receiver), ["fired a"]);

    // The lease moves to b while a still believes it holds it: both try, one may send.
    a.evaluate(&[("a", Verdict::OK)]).await;
    a.advance(WAIT);
    let of_a = a.lease().await;
    a.store.release_lease(&of_a).await.expect("released");
    let of_b = b.lease().await;
    let (first, second) = tokio::join!(a.notifier.run_once(&of_a), b.notifier.run_once(&of_b));
    first.and(second).expect("a database");
    assert_eq!(transitions(&receiver), ["resolved a"]);

    // b claims a delivery and dies before sending: a takes it over immediately.
    b.fire(&["b"]).await;
    b.advance(WAIT);
    let of_b = b.lease().await;
    b.notifier.plan(&of_b).await.expect("planned");
    let names = ["webhook".to_owned()];
    let claimed = b.store.due_deliveries(&of_b, &names, 9).await.expect("a database");
    assert_eq!(claimed.len(), 1);
    assert!(
        b.store.due_deliveries(&of_b, &names, 9).await.expect("a database").is_empty(),
        "the delivery is in progress"
    );
    database.execute("UPDATE leases SET expires_at = 0").await;
    let of_a = a.lease().await;
    assert!(of_a.term() > of_b.term());
    assert!(b.store.due_deliveries(&of_b, &names, 9).await.expect("a database").is_empty(), "its time is over");
    a.notifier.run_once(&of_a).await.expect("a database");
    assert_eq!(transitions(&receiver), ["fired b"]);
    // b is still alive: recording its attempt changes nothing.
    b.store.delivery_failed(&claimed[0], Some(b.now()), "late").await.expect("a database");
    a.run().await;
    assert_eq!(transitions(&receiver), [""; 0]);

    // A lease holder that lost track of its own claim claims it again after a timeout.
    a.evaluate(&[("b", Verdict::OK)]).await;
    a.advance(WAIT);
    let of_a = a.lease().await;
    a.notifier.plan(&of_a).await.expect("planned");
    assert_eq!(a.store.due_deliveries(&of_a, &names, 9).await.expect("a database").len(), 1);
    a.run_after(TimeDelta::minutes(3)).await;
    assert_eq!(transitions(&receiver), ["resolved b"]);
}

async fn each_address_receives_a_separate_email(database: Database) {
    let server = MailServer::start("gone@").await;
    let address = |text: &str| text.parse().expect("an address");
    let to = ["gone@example.org", "Ada <ada@example.org>"].map(address).to_vec();
    let url = format!("smtp://{}", server.address);
    let mail = Channel::email(&url, address("Pipewatch <pipewatch@example.org>"), to).expect("a server");
    let notifier = NotifierFixture::start(&database, [mail]).await;
    notifier.fire(&["Ève"]).await;
    notifier.run_after(WAIT).await;
    let mails = server.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    for part in [
        "RCPT TO:<ada@example.org>\n",
        "From: Pipewatch <pipewatch@example.org>\r\n",
        "To: Ada <ada@example.org>\r\n",
        "Subject: [Pipewatch] Firing (medium): ",
        "Auto-Submitted: auto-generated\r\n",
        "Date: Wed, 28 Jan 2026 15:32:15 +0000\r\n",
        "@example.org>\r\n",
        "Check it.",
    ] {
        assert!(mails[0].contains(part), "{part} in {}", mails[0]);
    }
    notifier.advance(TimeDelta::minutes(6));
    assert_eq!(notifier.stuck().await, 1, "the other address is not forgotten");
}

async fn new_channel_receives_only_new_alerts(database: Database) {
    let ahead = Arc::default();
    let notifier = NotifierFixture::start_as("a", &database, &ahead, []).await;
    notifier.fire(&["a", "b"]).await;
    notifier.run_after(WAIT).await;
    notifier.evaluate(&[("a", Verdict::OK), ("b", BAD)]).await;
    notifier.run_after(WAIT).await;
    let receiver = Receiver::start().await;
    let notifier = NotifierFixture::start_as("a", &database, &ahead, [webhook(&receiver)]).await;
    notifier.run().await;
    assert_eq!(transitions(&receiver), ["fired b"]);
}

async fn undeliverable_notifications_are_abandoned_and_deleted(database: Database) {
    let receiver = Receiver::start().await;
    let ahead = Arc::default();
    let notifier = NotifierFixture::start_as("a", &database, &ahead, [webhook(&receiver)]).await;
    receiver.replies(&[Reply::Status(500); 3]);
    let fired = [("a", BAD)];
    notifier.fire(&["a"]).await;
    notifier.run_after(WAIT).await;
    // Acknowledged, so that nothing is repeated.
    let alert = notifier.alert_of("a").await;
    notifier.store.acknowledge_alert(alert, "Ada".into(), None).await.expect("found").expect("firing");
    notifier.run_after(TimeDelta::days(3)).await;
    assert_eq!(
        transitions(&receiver),
        ["fired a", "fired a", "acknowledged a"],
        "the first is given up, the second waits"
    );
    assert_eq!(notifier.stuck().await, 0, "the second is new");
    notifier.run_after(TimeDelta::minutes(10)).await;
    assert_eq!(transitions(&receiver), ["acknowledged a"]);
    assert_eq!(notifier.store.next_delivery().await.expect("a database"), None);
    notifier.evaluate(&fired).await;
    assert_eq!(rows(&database).await, 2);
    notifier.run_after(TimeDelta::days(8)).await;
    assert_eq!(rows(&database).await, 0, "deleted after a week");

    // A channel that was removed from the settings.
    receiver.replies(&[Reply::Status(500)]);
    notifier.evaluate(&[("a", Verdict::OK)]).await;
    notifier.run_after(WAIT).await;
    let notifier = NotifierFixture::start_as("a", &database, &ahead, []).await;
    notifier.run_after(TimeDelta::minutes(50)).await;
    assert_eq!(notifier.stuck().await, 1);
    notifier.run_after(TimeDelta::minutes(11)).await;
    assert_eq!(notifier.stuck().await, 0);
}

async fn rows(database: &Database) -> i64 {
    use sea_orm::ConnectionTrait as _;
    let connection = database.connect().await;
    let count = sea_orm::Statement::from_string(connection.get_database_backend(), "SELECT count(*) FROM outbox");
    let row = connection.query_one_raw(count).await.expect("good SQL").expect("a row");
    connection.close().await.expect("closed");
    row.try_get_by_index(0).expect("a number")
}

async fn delivery_loop_runs_until_stopped(database: Database) {
    let receiver = Receiver::start().await;
    let notifier = NotifierFixture::start(&database, [webhook(&receiver)]).await;
    let (lease, held) = watch::channel(None);
    let stop = CancellationToken::new();
    let tell = async {
        notifier.fire(&["a"]).await;
        notifier.advance(WAIT);
        // The holder renews its lease.
        eventually("the notification is delivered", async || {
            lease.send_replace(Some(notifier.lease().await));
            notifier.notifier.evaluated();
            receiver.take_received().pop()
        })
        .await;
        stop.cancel();
    };
    let run = in_time("the sender ends", notifier.notifier.run(held, stop.clone()));
    tokio::join!(run, tell);
}
