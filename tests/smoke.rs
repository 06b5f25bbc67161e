use netsplit::*;
#[test]
fn ping_pong_across_nodes() {
    let scenario = Scenario::new("pp")
        .node("server", |ctx: Context<(u64, ReplyTo<u64>)>| async move {
            ctx.register("echo").unwrap();
            loop {
                let (n, r) = ctx.receive_message().await;
                r.reply(n + 1);
            }
        })
        .client("client", |ctx: Context| async move {
            let a = Address::<(u64, ReplyTo<u64>)>::named("server", "echo");
            for i in 0..10 {
                assert_eq!(a.call(|r| (i, r), secs(1)).await, Ok(i + 1));
            }
            ctx.observe("n", |n: &mut u64| *n = 10);
        })
        .finally("ten", |v| v.observed::<u64>("n") == Some(&10))
        .horizon(secs(10));
    let a = scenario.run(1).unwrap();
    println!("{a:?}");
    assert!(a.is_ok());
    assert_eq!(a.digest, scenario.run(1).unwrap().digest);
    assert_ne!(a.digest, scenario.run(2).unwrap().digest);
    let chaos = scenario.clone().faults(
        Faults::calm()
            .lose(0.1)
            .duplicate(0.2)
            .crash(secs(1), secs(1)),
    );
    for s in 0..200 {
        let o = chaos.run(s).unwrap();
        assert!(o.error.is_none(), "{o:?}");
    }
}
