//! The README's supervision tree.

use netsplit::{Address, Context, Flow, GenServer, Refusal, ReplyTo};
use netsplit::{Scenario, Server, Supervisor, check, child, secs};

/// How many apples, and where to say how many were sold so far.
type Sale = (u32, ReplyTo<u32>);

struct Till {
    sold: u32,
}

impl GenServer for Till {
    type Args = ();
    type Message = Sale;

    async fn init((): (), _: &mut Context<Sale>) -> Result<Till, Refusal> {
        Ok(Till { sold: 0 })
    }

    async fn handle(&mut self, (apples, receipt): Sale, _: &mut Context<Sale>) -> Flow {
        assert!(apples > 0, "nobody buys nothing");
        self.sold += apples;
        receipt.reply(self.sold);
        Flow::Next
    }
}

fn shop() -> Supervisor {
    Supervisor::one_for_one()
        .intensity(3, secs(5))
        .child(child("till", || Server::<Till>::with(()).name("till")))
}

async fn buyer(ctx: Context) {
    let till = Address::<Sale>::named("shop", "till");
    let buy = |apples| till.call(move |receipt| (apples, receipt), secs(1));
    assert_eq!(buy(2).await, Ok(2));
    assert!(buy(0).await.is_err()); // The till crashes, and its supervisor starts it anew:
    assert_eq!(buy(5).await, Ok(5)); // it is there, and has forgotten what it knew.
    ctx.count("served");
}

#[test]
fn a_till_that_crashes_is_there_again() {
    let scenario = Scenario::new("tree").node("shop", |ctx| shop().run(ctx));
    check(
        scenario
            .client("buyer", buyer)
            .finally("the buyer is served", |view| view.counter("served") == 1),
    );
}
