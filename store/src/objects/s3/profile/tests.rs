//! AWS' own files, as AWS' own tools write them.

use std::path::PathBuf;

use super::*;

struct Home(tempfile::TempDir);

impl Home {
    fn new(credentials: &str, config: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write("credentials", credentials);
        home.write("config", config);
        home
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn files(&self, name: &str) -> ProfileFiles {
        let at = |file: &str| -> Option<PathBuf> { Some(self.0.path().join(file)) };
        ProfileFiles {
            name: name.to_owned(),
            credentials_file: at("credentials"),
            config_file: at("config"),
            sts_endpoint: None,
        }
    }

    fn keys(&self, name: &str) -> AwsCredential {
        match read(&self.files(name)).unwrap().what {
            Profile::Keys(keys) => keys,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_profile_is_read_from_both_files() {
    let home = Home::new(
        "# a comment\n[default]\naws_access_key_id = D\naws_secret_access_key = DS ; why\n\n\
         [audit]\naws_access_key_id=A\naws_secret_access_key=A/S+=#x\naws_session_token=T\n",
        "[default]\nregion = eu-west-1\n[profile audit]\nregion=eu-central-1\ns3 =\n  region = no\n\
         [profile inline]\naws_access_key_id = I\naws_secret_access_key = IS\n[inline]\nregion=wrong\n",
    );
    let default = home.keys("default");
    assert_eq!((&*default.key_id, &*default.secret_key), ("D", "DS"));
    assert_eq!(default.token, None);
    let audit = home.keys("audit");
    assert_eq!((&*audit.key_id, &*audit.secret_key), ("A", "A/S+=#x"));
    assert_eq!(audit.token.as_deref(), Some("T"));
    let region = |name: &str| read(&home.files(name)).unwrap().region;
    assert_eq!(region("default").as_deref(), Some("eu-west-1"));
    assert_eq!(region("audit").as_deref(), Some("eu-central-1"));
    assert_eq!(home.keys("inline").key_id, "I");
    assert_eq!(region("inline"), None);
}

#[test]
fn keys_of_two_files_are_not_mixed() {
    let home = Home::new(
        "[p]\naws_access_key_id=A\naws_secret_access_key=AS\n",
        "[profile p]\naws_access_key_id=B\naws_secret_access_key=BS\naws_session_token=BT\n",
    );
    let keys = home.keys("p");
    assert_eq!((&*keys.key_id, keys.token), ("A", None));
}

#[test]
fn a_profile_may_name_a_role_and_a_token() {
    let home = Home::new(
        "",
        "[profile web]\nrole_arn = arn:r\nweb_identity_token_file = /t\nregion = r\n",
    );
    match read(&home.files("web")).unwrap().what {
        Profile::WebIdentity(web) => {
            assert_eq!(web.role_arn, "arn:r");
            assert_eq!(web.token_file, PathBuf::from("/t"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_understood_is_named() {
    let home = Home::new(
        "[half]\naws_access_key_id=SECRETID\n",
        "[profile sso]\nsso_session = x\n[profile program]\ncredential_process = /bin/x\n\
         [profile chain]\nrole_arn = arn:r\nsource_profile = default\n",
    );
    for (name, expected) in [
        ("sso", "sso_session"),
        ("program", "credential_process"),
        ("chain", "source_profile"),
        ("half", "aws_secret_access_key"),
        ("none", "there is no profile \"none\""),
    ] {
        let error = read(&home.files(name)).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("SECRETID"), "{error}");
    }
}

#[tokio::test]
async fn keys_that_another_program_writes_are_taken_over() {
    let write = |id: &str| format!("[p]\naws_access_key_id={id}\naws_secret_access_key=S\n");
    let home = Home::new(&write("OLD"), "");
    let files = FileCredentials::new(home.files("p"), home.keys("p"));
    let id = async || files.get_credential().await.unwrap().key_id.clone();
    assert_eq!(id().await, "OLD");
    home.write("credentials", &write("RENEWED"));
    assert_eq!(id().await, "RENEWED");
    // Half-written: what was good before is still tried.
    home.write("credentials", "[p]\naws_access_key_id=NEW");
    assert_eq!(id().await, "RENEWED");
    home.write("credentials", &write("NEWEST-OF-ALL"));
    assert_eq!(id().await, "NEWEST-OF-ALL");
}
